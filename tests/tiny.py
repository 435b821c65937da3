"""A small network, its checkpoint and a few images in the Cityscapes form, for tests of whole commands."""

from __future__ import annotations

from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
from mxnet import gluon

from mxnetseg.config import load_config
from mxnetseg.data.datasets.cityscapes import LABEL_IDS, Cityscapes
from mxnetseg.engine.checkpoint import save_checkpoint
from mxnetseg.engine.weights import values
from mxnetseg.models import build_model
from mxnetseg.models.base import SegmentationModel
from mxnetseg.models.refinement import RefinementModule
from mxnetseg.registry import MODELS, Entry

SIZE = (48, 96)


class Tiny(SegmentationModel):
    """Two convolutions and an auxiliary head."""

    registered_name = "Tiny"

    def __init__(self, num_classes, backbone="resnet18", aux=True, dilate=True, norm="bn"):
        gluon.HybridBlock.__init__(self, prefix="tiny_")
        self.num_classes, self.aux, self._view = num_classes, aux, None
        with self.name_scope():
            self.backbone = gluon.nn.HybridSequential()
            self.backbone.add(gluon.nn.Conv2D(8, 3, 4, 1, activation="relu"), gluon.nn.BatchNorm())
            self.head = gluon.nn.Conv2D(num_classes, 1)
            if aux:
                self.aux_head = gluon.nn.Conv2D(num_classes, 1)

    def maps(self, F, x):
        y = self.backbone(x)
        yield self.head(y)
        yield self.aux_head(y)


def register() -> None:
    """Let the registry find the network of these tests, without listing it."""
    MODELS._by_key["tiny"] = Entry("Tiny", (), "tiny", "Tiny")


def write_city(root: Path, counts: dict[str, int], size: tuple[int, int] = SIZE, seed: int = 0) -> Path:
    """Blocks of colour with their label ids, in the folders of Cityscapes."""
    rng = np.random.default_rng(seed)
    for split, count in counts.items():
        for i in range(count):
            blocks = rng.integers(0, 19, (3, 5)).astype(np.uint8)
            train_ids = cv2.resize(blocks, size[::-1], interpolation=cv2.INTER_NEAREST)
            image = (Cityscapes.palette[train_ids] * 0.7 + rng.integers(0, 70, (*size, 3))).astype(np.uint8)
            ids = np.array(LABEL_IDS, np.uint8)[train_ids]
            ids[:4] = 0
            stem = f"aachen_{i:06d}_000019"
            _write(root / "leftImg8bit" / split / "aachen" / f"{stem}_leftImg8bit.png", image[..., ::-1])
            if split != "test":
                _write(root / "gtFine" / split / "aachen" / f"{stem}_gtFine_labelIds.png", ids)
    return root


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), array)


def write_checkpoint(path: Path, *overrides: str, model: str = "Tiny") -> Path:
    """Weights drawn at random, with the metadata that training writes."""
    register()
    base = [f"model.name={model}", "model.backbone=resnet18", "model.aux=false", "model.dilate=false"]
    data = ["data.name=cityscapes", "data.crop_size=48", "data.base_size=96", "data.workers=0"]
    config = load_config(None, [*base, *data, *overrides])
    mx.random.seed(0)
    model = build_model(config.model, 19)
    meta = {
        "format": 1,
        "model": config.model.model_dump(mode="json"),
        "num_classes": 19,
        "classes": list(Cityscapes.classes),
        "palette": Cityscapes.palette.tolist(),
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "data": "Cityscapes",
        "config": config.model_dump(mode="json"),
        "metrics": {"mIoU": 0.5},
        "epoch": 1,
        "step": 10,
    }
    save_checkpoint(path, values(model), meta)
    return path


def write_refinement(path: Path, classes: int = 19) -> Path:
    """Refinement module with weights drawn at random."""
    mx.random.seed(0)
    module = RefinementModule(classes)
    module.prepare()
    save_checkpoint(path, values(module), {})
    return path
