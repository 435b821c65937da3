"""A refinement module in training: what it sees comes from a frozen segmentation network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mxnet as mx
from mxnet import autograd, nd

from ...config import Config, ModelConfig
from ...data.refinement import unpack
from ...errors import ConfigError
from ...models.refinement import RefinementModule
from ..checkpoint import load_model, read_meta
from ..lookup import find_checkpoint

__all__ = ["RefinementLearner", "adopt_network", "build_learner"]


class RefinementLearner(RefinementModule):
    """Refinement module that also takes packed samples (see :class:`~mxnetseg.data.refinement.RefinementTransform`).

    The frozen network looks at both views; its coarse probabilities are cut out where the window is (ROI align), and
    the module refines. The network's parameters are not this block's.

    Parameters
    ----------
    network : SegmentationModel
        Trained, on all devices.
    input_size : (int, int)
        Height and width of both views.

    Inputs: packed samples (N, 3, 2 h + 1, w). Outputs: class scores (N, K, 2 h + 1, w), 0 where nothing is labelled.
    With two inputs: as of the module itself.
    """

    def __init__(self, network: Any, input_size: tuple[int, int]):
        super().__init__(network.num_classes)
        # Not a child: it is neither saved nor trained.
        object.__setattr__(self, "_network", network)
        self.input_size, self.divisor, self.min_size = input_size, network.divisor, network.min_size

    @property
    def inference(self) -> Any:
        """The frozen network's main scores."""
        return self._network.inference

    @property
    def refinement_modules(self) -> list[RefinementModule]:
        """What progressive inference refines with: this block."""
        return [self]

    def forward(self, x: Any, *coarse: Any) -> Any:
        """Refine packed samples, or fine and coarse probabilities."""
        if coarse:
            return super().forward(x, *coarse)
        fine, cropped = self.probabilities(x)
        scores = super().forward(fine, cropped)
        above, below = nd.zeros_like(scores), nd.zeros_like(scores[:, :, :1])
        return nd.concat(above, scores, below, dim=2)

    def probabilities(self, packed: nd.NDArray) -> tuple[nd.NDArray, nd.NDArray]:
        """Fine probabilities, and the coarse ones at the same place, each (N, K, h, w); without gradient."""
        with autograd.pause(train_mode=False):
            coarse, fine, boxes = unpack(packed, self.input_size)
            coarse, fine = (nd.softmax(self.inference(views), axis=1) for views in (coarse, fine))
            number = nd.arange(len(boxes), ctx=packed.context).expand_dims(1)
            rois = nd.concat(number, boxes, dim=1)
            # Samples per bin adapt to the window, as in mxnetseg.engine.refine.maps.crop.
            settings = {"pooled_size": self.input_size, "spatial_scale": 1.0, "sample_ratio": -1}
            return fine, nd.contrib.ROIAlign(coarse, rois, **settings)


def adopt_network(config: Config) -> None:
    """Let a configuration say which network it refines, and which module it starts from (eval.refine.weights).

    Raises
    ------
    ConfigError
        If the settings do not fit the training of a refinement module.
    """
    if config.eval.refine is None or len(config.eval.refine.scales) < 2:
        raise ConfigError(
            "train.refines without scales", "at least two in eval.refine", "e.g. --scales 256-128,512-256,1024-512"
        )
    if config.train.freeze_bn or config.optimizer.head_lr_mult != 1:
        raise ConfigError(
            "train.freeze_bn or optimizer.head_lr_mult with train.refines", "a module without backbone", "leave both"
        )
    files = config.eval.refine.weights
    if len(files) > 1:
        raise ConfigError(
            f"{len(files)} refinement modules to start from",
            "one: a run trains one module",
            "for a module per scale, train each with --scales FIRST,SCALE",
        )
    meta = read_meta(find_checkpoint(config.train.refines))
    start = str(find_checkpoint(files[0])) if files else None
    config.model = ModelConfig(**{**meta.get("model", {}), "pretrained": False, "init": start})


def build_learner(config: Config, num_classes: int, contexts: Sequence[mx.Context]) -> RefinementLearner:
    """Refinement module of the network that ``train.refines`` names.

    Raises
    ------
    CheckpointError
        If the checkpoint cannot be used.
    ConfigError
        If it was trained for another number of classes.
    """
    network, _ = load_model(find_checkpoint(config.train.refines), list(contexts))
    if network.num_classes != num_classes:
        raise ConfigError(
            f"{config.train.refines} has {network.num_classes} classes, the data set {num_classes}",
            "a network trained on this data set",
        )
    return RefinementLearner(network, config.eval.refine.input_size)
