"""Base class of all segmentation networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, ClassVar

from mxnet import gluon, init, nd, sym

from ..errors import DataError
from ..registry import accepted_backbone, usable_backbones
from .backbones import build_backbone
from .graph import count_macs
from .layers import NormLayer, make_norm, resize_like
from .layers.mode import inference_graph
from .layers.norm import BATCH_NORMS
from .recorded import Recorded

__all__ = ["InferenceView", "SegmentationModel", "default_initializer", "small_initializer", "usable_backbones"]


def default_initializer() -> init.Initializer:
    """Initial weights for training from scratch: normal with variance 2 / fan-in (He et al., ICCV 2015, eq. 10)."""
    return init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2)


def small_initializer() -> init.Initializer:
    """Initial weights where no normalisation bounds what residuals add up to: uniform in +-1 / sqrt(fan-in)."""
    return init.Xavier(rnd_type="uniform", factor_type="in", magnitude=1)


class SegmentationModel(Recorded, gluon.HybridBlock):
    """Backbone, head and auxiliary head; a model whose maps come about differently overrides :meth:`maps`.

    Parameters
    ----------
    num_classes : int
        Number of classes.
    backbone : str or None
        Registered backbone that the model accepts; None for a network that is not built on one.
    norm : str or callable
        Normalisation: ``bn``, ``syncbn``, ``gn``, or a constructor.
    output_stride : int
        Stride of the deepest feature map.
    aux : bool
        Whether the auxiliary maps are computed.
    **backbone_options
        Further arguments of the backbone.

    Attributes
    ----------
    auxiliary : tuple of str
        Children that only the auxiliary maps need.
    align_corners : bool
        How maps are resized to the input.
    full_size : bool
        Whether the main map has the input's size already, or more rows and columns at the end, which are cut off.
    mix : float
        Weight, relative to the main one, of the auxiliary map that is averaged in at inference; 0 where none is.
    divisor : int
        Height and width of the input must be multiples of it.
    min_size : int
        Smallest height and width of the input.
    levels : tuple of int
        Features that the head takes: 0 to 3 stand for c1 to c4.
    head_initializer : callable
        Constructor of the initialiser of everything but the backbone.
    backbone, head, aux_head
        Children; `backbone` only where there is one, `aux_head` only where `aux` is true.

    Inputs: image batch (N, 3, H, W), normalised. Outputs: tuple of class scores (N, num_classes, H, W), the main
    ones first, then the auxiliary ones.

    Raises
    ------
    ConfigError
        If the model does not accept the backbone.
    """

    auxiliary: ClassVar[tuple[str, ...]] = ("aux_head",)
    align_corners = True
    full_size = False
    mix = 0.0
    divisor = 1
    min_size = 1
    levels: tuple[int, ...] = (3,)
    head_initializer: Callable[[], init.Initializer] = staticmethod(default_initializer)

    def __init__(
        self,
        num_classes: int,
        backbone: str | None = None,
        norm: str | NormLayer = "bn",
        output_stride: int = 32,
        aux: bool = False,
        **backbone_options: Any,
    ):
        super().__init__(prefix=f"{type(self).__name__.lower()}_")
        self.num_classes, self.aux, self.norm, self.output_stride = num_classes, aux, make_norm(norm), output_stride
        self._view: InferenceView | None = None
        if backbone is not None:
            name = accepted_backbone(self.registered_name, backbone)
            with self.name_scope():
                self.backbone = build_backbone(name, self.norm, output_stride, **backbone_options)

    def maps(self, F: Any, x: Any) -> Iterator[Any]:
        """Yield the main class scores, then the auxiliary ones, at whatever size they have.

        Only what is asked for is computed: an inference graph stops after the first. Here: the head on the features
        of `levels`, the auxiliary head on c3.
        """
        features = self.backbone(x)
        yield self.head(*(features[level] for level in self.levels))
        yield self.aux_head(features[2])

    def wanted_maps(self, F: Any, x: Any) -> Iterator[Any]:
        """Main scores, and the auxiliary ones where `aux` is true, at whatever size they have."""
        return islice(self.maps(F, x), None if self.aux else 1)

    def hybrid_forward(self, F: Any, x: Any) -> tuple[Any, ...]:
        return tuple(self.fit(F, y, x, index) for index, y in enumerate(self.wanted_maps(F, x)))

    def fit(self, F: Any, y: Any, x: Any, index: int = 0) -> Any:
        """Map `y`, the main one (`index` 0) or an auxiliary one, at the size of the input `x`."""
        if self.full_size and index == 0:
            return F.slice_like(y, F.BlockGrad(x), axes=(2, 3))
        return resize_like(F, y, x, self.align_corners)

    def forward(self, x: Any, *args: Any) -> Any:
        """Check the input's shape, then run the network.

        Raises
        ------
        DataError
            If the input is not (N, 3, H, W), is too small, or is not a multiple of `divisor`.
        """
        check_input(self, x)
        return super().forward(x, *args)

    @property
    def inference(self) -> InferenceView:
        """Network that returns only the main scores, shares these parameters, and is hybridized."""
        if self._view is None:
            view = InferenceView(self)
            view.hybridize()
            object.__setattr__(self, "_view", view)
        return self._view

    def predict(self, x: nd.NDArray) -> nd.NDArray:
        """Class scores (N, num_classes, H, W) of an image batch (N, 3, H, W)."""
        return self.inference(x)

    def head_parameters(self) -> list[gluon.Parameter]:
        """Parameters that do not belong to the backbone."""
        return self.lr_groups()["head"]

    def lr_groups(self) -> dict[str, list[gluon.Parameter]]:
        """Parameters by group: ``backbone`` and ``head`` (everything else)."""
        backbone = self.backbone.collect_params() if "backbone" in self._children else {}
        head = [p for name, p in self.collect_params().items() if name not in backbone]
        return {"backbone": list(backbone.values()), "head": head}

    def freeze_bn(self, frozen: bool = True) -> None:
        """Let batch normalisation use its running statistics, without updating them, in training as well."""

        def switch(block: gluon.Block) -> None:
            if isinstance(block, BATCH_NORMS):
                block._kwargs["use_global_stats"] = frozen
            if isinstance(block, gluon.HybridBlock):
                block._clear_cached_op()

        self.apply(switch)
        if self._view is not None:
            self._view._clear_cached_op()

    def cast(self, dtype: Any) -> None:
        """Convert all parameters; the inference view is built again."""
        super().cast(dtype)
        object.__setattr__(self, "_view", None)

    def parameter_count(self) -> int:
        """Number of learnable scalars, auxiliary heads included."""
        self._complete_shapes()
        return sum(math.prod(p.shape) for p in self.collect_params().values() if p.grad_req != "null")

    def macs(self, height: int, width: int, aux: bool = False) -> int:
        """Multiply-accumulates of the convolutions and dense layers for one image.

        Parameters
        ----------
        height, width : int
            Size of the input.
        aux : bool
            Whether the auxiliary heads count.
        """
        symbol = self.symbol(aux)
        return count_macs(symbol, data=(1, 3, height, width))

    def symbol(self, aux: bool = False) -> Any:
        """Symbol of the network with one input ``data``; main output only unless `aux`."""
        return sym.Group(list(self(sym.var("data")))) if aux else self.inference(sym.var("data"))

    def prepare(self, initializer: init.Initializer | None = None, ctx: Any = None) -> None:
        """Complete all parameter shapes and initialise what has no value yet.

        Parameters
        ----------
        initializer : Initializer, optional
            :func:`default_initializer`, and `head_initializer` for the rest, when not given.
        ctx : Context or list of Context, optional
            Where the parameters live; the current context when not given.
        """
        self._complete_shapes()
        head = {parameter.name for parameter in self.head_parameters()}
        for name, parameter in self.collect_params().items():
            if parameter._data is None:
                usual = self.head_initializer() if name in head else default_initializer()
                parameter.initialize(default_init=initializer or usual, ctx=ctx)

    def _complete_shapes(self) -> None:
        if not all(_known(p.shape) for p in self.collect_params().values()):
            side = max(self.divisor, 64)
            self.infer_shape(nd.zeros((1, 3, side, side)))


class InferenceView(gluon.HybridBlock):
    """Main output of a model, with its parameters but without auxiliary heads that it does not need.

    Its children carry the model's names, so that parameters are saved and exported under the same names.

    Parameters
    ----------
    model : SegmentationModel
        Network to look at.

    Inputs: (N, 3, H, W). Outputs: class scores (N, num_classes, H, W).
    """

    def __init__(self, model: SegmentationModel):
        super().__init__(prefix=model.prefix)
        for name, child in model._children.items():
            if name not in model.auxiliary:
                self.register_child(child, name)
        self._maps: Callable[..., Iterator[Any]] = model.maps
        self._check: Callable[[Any], None] = lambda x: check_input(model, x)
        self._fit, self.num_classes, self.divisor = model.fit, model.num_classes, model.divisor
        self._mix = model.mix if model.aux else 0.0

    @property
    def network(self) -> SegmentationModel:
        """Model that this is a view of."""
        return self._maps.__self__

    def hybridize(self, active: bool = True, **flags: Any) -> None:
        """Hybridize this view only; the blocks that it shares with the model keep their mode."""
        shared, self._children = self._children, type(self._children)()
        super().hybridize(active, **flags)
        self._children = shared

    def forward(self, x: Any, *args: Any) -> Any:
        """Check the input's shape, then run the network (see :meth:`SegmentationModel.forward`)."""
        self._check(x)
        return super().forward(x, *args)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        with inference_graph():
            maps = (self._fit(F, y, x, index) for index, y in enumerate(self._maps(F, x)))
            main = next(maps)
            return (main + self._mix * next(maps)) / (1 + self._mix) if self._mix else main


def check_input(model: SegmentationModel, x: Any) -> None:
    """Refuse arrays that the network cannot take (symbols have no size to check).

    Raises
    ------
    DataError
        With the size found and the one expected.
    """
    if not isinstance(x, nd.NDArray):
        return
    if x.ndim != 4 or x.shape[1] != 3:
        raise DataError(f"input of shape {x.shape}", "a batch of images (N, 3, height, width)")
    height, width = x.shape[2:]
    if min(height, width) < model.min_size:
        raise DataError(
            f"input of {height}x{width} pixels",
            f"at least {model.min_size}x{model.min_size} for {model.registered_name}",
            "enlarge the image",
        )
    if height % model.divisor or width % model.divisor:
        wanted = tuple(-(-side // model.divisor) * model.divisor for side in (height, width))
        raise DataError(
            f"input of {height}x{width} pixels",
            f"multiples of {model.divisor} for {model.registered_name}",
            f"pad the image to {wanted[0]}x{wanted[1]}",
        )


def _known(shape: tuple[int, ...] | None) -> bool:
    return bool(shape) and all(side > 0 for side in shape)
