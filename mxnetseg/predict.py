"""The command ``mxnetseg predict``: index masks, coloured masks and overlays of images, folders and videos."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import positive
from .deploy.export import parse_size
from .engine.lookup import find_checkpoint
from .errors import ConfigError, DataError
from .progressive import add_refine_arguments, parse_scales, refine_values

if TYPE_CHECKING:
    import numpy as np

    from .config import RefineConfig
    from .data.pictures import Picture
    from .data.tiff import TiffPicture
    from .engine.forward import Steps
    from .engine.refine import LabelsAt, Observer, Stage
    from .tools.media import Item

__all__ = ["HELP", "ImageSegmenter", "ProgressiveSegmenter", "add_arguments", "run"]

HELP = "segment an image, a folder or a video"
EXAMPLES = """\
mxnetseg predict street.jpg --checkpoint RUN_best.params
mxnetseg predict photos clip.mp4 --checkpoint RUN_best.params --out predictions --ctx cpu
mxnetseg predict large.tif --checkpoint RUN_best.params --protocol slide --crop 1024
"""

WHOLE_LIMIT = 3.0
MAX_PIXELS = 60.0
PREVIEW = 2048


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("inputs", nargs="+", metavar="IMAGE|FOLDER|VIDEO", help="what to segment; folders are searched in depth")
    add("--checkpoint", required=True, metavar="FILE", help="path, ready weights, or a name in weights/<model>/")
    add("--out", "--save-dir", "--save_dir", metavar="DIR", help="where files go (predictions/<checkpoint>)")
    add("--ctx", metavar="ID", help="GPU id, or cpu (GPU 0 if usable, else cpu)")
    add(
        "--protocol",
        choices=("whole", "slide"),
        help="one forward per image, or overlapping windows (when empty: windows from --whole-limit upward)",
    )
    add(
        "--whole-limit",
        type=positive,
        default=WHOLE_LIMIT,
        metavar="MPIX",
        help=f"largest image, in million pixels, that is run in one forward ({WHOLE_LIMIT:g})",
    )
    add(
        "--max-pixels",
        type=positive,
        default=MAX_PIXELS,
        metavar="MPIX",
        help=f"larger images, in million pixels, are skipped before they are decoded ({MAX_PIXELS:g}); with --scales, "
        "TIFF in tiles are read in parts and may have any size",
    )
    add("--crop", type=parse_size, metavar="N|HxW", help="window (the training crop)")
    add("--ms", action="store_true", help="average several scales and the mirror image")
    add("--json", action="store_true", help="print JSON instead of the summary")
    add("--alpha", type=float, default=0.5, metavar="SHARE", help="share of the colour in overlays (0.5)")
    add("--scales", type=parse_scales, nargs=1, metavar="W-H,W-H,...", help="refine progressively through these sizes")
    add("--scratch", metavar="DIR", help="with --scales: folder for temporary files of large images (the system's)")
    add_refine_arguments(parser)


class ImageSegmenter:
    """Segments images of any size with the network of a checkpoint, at the scale at which it was evaluated.

    Parameters
    ----------
    model : SegmentationModel
        Network on `ctx`.
    meta : dict
        Metadata of its checkpoint (classes, palette, normalisation, data, configuration).
    ctx : mx.Context
        Device.
    protocol : {"whole", "slide"}, optional
        Chosen by the image's size when None.
    whole_limit : float
        Largest scaled image run in one forward, in million pixels, when `protocol` is None.
    crop : (int, int), optional
        Window; the training crop when None.
    multi_scale : bool
        Average the original's scales and the mirror image.
    """

    def __init__(
        self,
        model: Any,
        meta: dict[str, Any],
        ctx: Any,
        protocol: str | None = None,
        whole_limit: float = WHOLE_LIMIT,
        crop: tuple[int, int] | None = None,
        multi_scale: bool = False,
    ):
        from .config import EvalConfig, load_config
        from .deploy.fast import fast_network
        from .engine.inference import Predictor
        from .engine.protocols import describe, historical_scales

        scales = historical_scales(meta["data"]) if multi_scale else [1.0]
        config = load_config(meta.get("config") or {})
        crop, self.base_size = crop or config.crop(), config.eval.base_size
        self.protocol, self.whole_limit = protocol, whole_limit
        self._predictors, self._described = {}, {}
        network, facts = fast_network(model, ctx), _input_facts(model, meta)
        for name in ("whole", "slide"):
            settings = EvalConfig(protocol=name, base_size=self.base_size, scales=scales, flip=multi_scale)
            self._described[name] = describe(settings, crop)
            self._predictors[name] = Predictor(network, settings, crop, ctx, **facts)

    def choose(self, image: np.ndarray) -> str:
        """Protocol for an image."""
        height, width = self._predictors["whole"].protocol.scaled(*image.shape[:2], self.base_size, 1.0)
        return self.protocol or ("whole" if height * width <= self.whole_limit * 1e6 else "slide")

    def describe(self) -> str:
        """Protocol in words."""
        if self.protocol:
            return self._described[self.protocol]
        return f"{self._described['whole']}; above {self.whole_limit:g} million pixels: {self._described['slide']}"

    def __call__(self, image: np.ndarray, name: str) -> np.ndarray:
        """Labels uint8 (H, W) of an image uint8 (H, W, 3)."""
        return self._predictors[self.choose(image)].labels(image, name)

    def forwards(self, image: np.ndarray) -> int:
        """How often the network runs for an image: once, or once per window (and scale, and mirror image)."""
        return self._predictors[self.choose(image)].forwards(*image.shape[:2])

    def steps(self, image: np.ndarray, name: str) -> Steps:
        """Generator form of a call: yields at every forward, returns the labels."""
        return (yield from self._predictors[self.choose(image)].labels_steps(image, name))


class ProgressiveSegmenter:
    """Segments images of any size scale by scale, with the network of a checkpoint and refinement modules.

    Parameters
    ----------
    model, meta, ctx
        As for :class:`ImageSegmenter`.
    refine : RefineConfig
        Scales, patches, points and files of the modules.
    observe : callable, optional
        Shown every scale (see :class:`~mxnetseg.engine.refine.ProgressivePredictor`).
    scratch : path, optional
        Folder for temporary files; the system's when None.
    """

    def __init__(
        self,
        model: Any,
        meta: dict[str, Any],
        ctx: Any,
        refine: RefineConfig,
        observe: Observer | None = None,
        scratch: str | Path | None = None,
    ):
        from .deploy.fast import fast_network
        from .engine.refine import ProgressivePredictor, load_modules

        modules = load_modules(refine, model.num_classes, ctx)
        facts = {**_input_facts(model, meta), "scratch": scratch, "observe": observe}
        self._refine = refine
        network = fast_network(model, ctx)
        self._predictor = ProgressivePredictor(network, modules, refine, ctx, **facts)

    def describe(self) -> str:
        """Protocol in words."""
        from .config import EvalConfig
        from .engine.protocols import describe

        return describe(EvalConfig(refine=self._refine), self._refine.crop_size)

    def __call__(self, image: np.ndarray, name: str) -> np.ndarray:
        """Labels uint8 (H, W) of an image uint8 (H, W, 3)."""
        return self._predictor.labels(image, name)

    def refine(self, picture: Picture, name: str) -> LabelsAt:
        """Labels of any part of a picture (see :meth:`~mxnetseg.engine.refine.ProgressivePredictor.refine`)."""
        return self._predictor.refine(picture, name)


def _input_facts(model: Any, meta: dict[str, Any]) -> dict[str, Any]:
    """What a network wants of its input."""
    return {"mean": meta["mean"], "std": meta["std"], "divisor": model.divisor, "min_size": model.min_size}


class _Output:
    """Where and how results are written."""

    def __init__(self, folder: Path, meta: dict[str, Any], alpha: float):
        import numpy as np

        self.folder, self.alpha = folder, alpha
        self.classes, self.palette = meta["classes"], np.asarray(meta["palette"], np.uint8)

    def image(self, name: str, image: np.ndarray, labels: np.ndarray) -> None:
        from . import visual

        picture = visual.with_legend(self.overlay(image, labels), labels, self.classes, self.palette)
        for kind, array in (("mask", labels), ("color", visual.colorize(labels, self.palette)), ("overlay", picture)):
            visual.write_image(self.folder / kind / f"{name}.png", array)

    def overlay(self, image: np.ndarray, labels: np.ndarray) -> np.ndarray:
        from . import visual

        return visual.overlay(image, labels, self.palette, self.alpha)

    def tiles(self, name: str, picture: TiffPicture, labels_at: LabelsAt) -> None:
        """Mask as a TIFF in tiles, and reduced pictures of it."""
        from . import visual
        from .tools.label_tiff import reduced_labels, write_labels

        write_labels(self.folder / "mask" / f"{name}.tif", picture, labels_at, self.palette)
        small = self._whole(picture)
        labels = reduced_labels(labels_at, picture.size, small.shape[:2])
        shown = visual.with_legend(self.overlay(small, labels), labels, self.classes, self.palette)
        for kind, array in (("color", visual.colorize(labels, self.palette)), ("overlay", shown)):
            visual.write_image(self.folder / kind / f"{name}.png", array)

    def stage(self, name: str, picture: Picture, number: int, stage: Stage) -> None:
        """Pictures of one scale of a refinement, in the size of the image: overlay, and uncertainty before it."""
        from . import visual

        folder, (height, width) = self.folder / "stages" / name, stage.scale
        image = self._whole(picture)
        if number == 0:
            visual.write_image(folder / "image.png", image)
        stem, size = f"{number}_{width}x{height}", image.shape[:2]
        visual.write_image(folder / f"{stem}.png", self.overlay(image, stage.labels(size)))
        visual.write_image(folder / f"{stem}_uncertainty.png", stage.uncertainty_picture(size))

    @staticmethod
    def _whole(picture: Picture) -> np.ndarray:
        """All of a picture, reduced if it is not in memory."""
        import numpy as np

        from .data.pictures import ArrayPicture, resized_picture

        factor = 1.0 if isinstance(picture, ArrayPicture) else min(1.0, PREVIEW / max(picture.size))
        size = tuple(max(1, round(side * factor)) for side in picture.size)
        return resized_picture(picture, size).take(*map(np.arange, size))


def run(args: argparse.Namespace) -> int:
    """Segment every input; 1 when nothing could be segmented."""
    if not 0 <= args.alpha <= 1:
        raise ConfigError(f"--alpha {args.alpha}", "a share from 0 to 1")
    if args.scratch and not os.access(args.scratch, os.W_OK | os.X_OK):
        raise ConfigError(f"--scratch {args.scratch}", "a folder that can be written to")
    from .tools.media import collect

    items = collect(args.inputs)
    path = find_checkpoint(args.checkpoint)
    from tqdm import tqdm

    from .engine.checkpoint import load_model
    from .engine.context import resolve_contexts

    ctx = resolve_contexts([args.ctx] if args.ctx else None)[0]
    model, loaded = load_model(path, ctx)
    output = _Output(Path(args.out or Path("predictions") / path.stem), loaded.meta, args.alpha)
    segmenter: ImageSegmenter | ProgressiveSegmenter
    if refine := _refinement(args, loaded.meta):
        observe = output.stage if args.save_pred else None
        segmenter = ProgressiveSegmenter(model, loaded.meta, ctx, refine, observe, args.scratch)
    else:
        segmenter = ImageSegmenter(model, loaded.meta, ctx, args.protocol, args.whole_limit, args.crop, args.ms)
    skipped = []
    for item in tqdm(items, desc="predict", unit="file", disable=len(items) < 2 or not sys.stderr.isatty()):
        try:
            _segment(item, segmenter, output, int(args.max_pixels * 1e6))
        except DataError as error:
            skipped.append((item.path, "; ".join(filter(None, (error.found, error.expected, error.remedy)))))
    done = len(items) - len(skipped)
    (_print_json if args.json else _summarize)(done, skipped, segmenter, output)
    return 0 if len(skipped) < len(items) else 1


def _refinement(args: argparse.Namespace, meta: dict[str, Any]) -> RefineConfig | None:
    """Settings of a progressive refinement: the options, and what the checkpoint says."""
    from .config import load_config

    recorded = ((meta.get("config") or {}).get("eval") or {}).get("refine")
    return load_config({"eval": {"refine": refine_values(args, recorded)}}).eval.refine


def _segment(item: Item, segmenter: ImageSegmenter | ProgressiveSegmenter, output: _Output, max_pixels: int) -> None:
    from .tools.media import read_picture

    if item.is_video:
        _segment_video(item, segmenter, output)
        return
    if isinstance(segmenter, ProgressiveSegmenter):
        from .data.tiff import TiffPicture, is_tiled_tiff

        if is_tiled_tiff(item.path):
            with TiffPicture(item.path) as picture:
                output.tiles(item.name, picture, segmenter.refine(picture, item.name))
            return
    image = read_picture(item.path, max_pixels)
    output.image(item.name, image, segmenter(image, item.name))


def _segment_video(item: Item, segmenter: ImageSegmenter | ProgressiveSegmenter, output: _Output) -> None:
    from tqdm import tqdm

    from .tools.media import VideoWriter, read_frames

    frames, rate, count = read_frames(item.path)
    written = 0
    with VideoWriter(output.folder / "overlay" / f"{item.name}.mp4", rate) as video:
        bar: Iterator[np.ndarray] = tqdm(
            frames, item.path.name, count or None, unit="frame", leave=False, disable=not sys.stderr.isatty()
        )
        for frame in bar:
            video.write(output.overlay(frame, segmenter(frame, f"{item.path} frame {written}")))
            written += 1
        if not written:
            raise DataError("a video without frames")


def _print_json(
    done: int, skipped: list[tuple[Path, str]], segmenter: ImageSegmenter | ProgressiveSegmenter, output: _Output
) -> None:
    left_out = [{"file": str(path), "reason": reason} for path, reason in skipped]
    record = {"segmented": done, "skipped": left_out, "protocol": segmenter.describe(), "folder": str(output.folder)}
    print(json.dumps(record))


def _summarize(
    done: int, skipped: list[tuple[Path, str]], segmenter: ImageSegmenter | ProgressiveSegmenter, output: _Output
) -> None:
    print(f"{done} segmented, {len(skipped)} skipped; protocol: {segmenter.describe()}")
    for path, reason in skipped:
        print(f"skipped {path}: {reason}")
    if done:
        stages = ", stages (each scale, and its uncertainty before)" if (output.folder / "stages").is_dir() else ""
        print(f"files in {output.folder}: mask (class indices), color, overlay{stages}")
