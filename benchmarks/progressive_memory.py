"""Peak memory and time of progressive refinement over the size of the picture.

Pictures are generated, written as TIFF in tiles, read and refined in parts, their labels written as TIFF in tiles; each
in a process of its own. Two small convolutions stand in for network and refinement module, so that the figures are
those of everything else; with --checkpoint and --refinement they are real ones. Up to --check million pixels the labels
are compared with those of the whole picture in memory, nothing kept in files. Prints a table, writes JSON::

    PYTHONPATH=. python benchmarks/progressive_memory.py --json progressive_memory.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import mxnetseg  # noqa: F401  (threads, before mxnet)
from mxnetseg.config import RefineConfig
from mxnetseg.data.pictures import ArrayPicture, resized_picture
from mxnetseg.data.tiff import TiffPicture
from mxnetseg.engine.refine import ProgressivePredictor, mosaic
from mxnetseg.engine.refine.views import blocks
from mxnetseg.tools.label_tiff import write_labels

FIRST = (1024, 2048)


def write_picture(path: Path, size: tuple[int, int]) -> None:
    """Clouds of colour with fine grain, as a TIFF in tiles; never in memory as a whole."""
    from tifffile import TiffWriter

    rng = np.random.default_rng(0)
    clouds = resized_picture(ArrayPicture(rng.integers(0, 200, (64, 128, 3), np.uint8)), size)
    grain = rng.integers(0, 56, (256, 256, 3), np.uint8)
    with TiffWriter(path, bigtiff=True) as file:
        tiles = (clouds.take(*place) + grain for place in blocks(size, 256))
        shape = {"shape": (*size, 3), "dtype": np.uint8, "tile": (256, 256), "photometric": "rgb"}
        file.write(tiles, compression="zlib", maxworkers=1, metadata=None, **shape)


def settings(args: argparse.Namespace, size: tuple[int, int]) -> RefineConfig:
    """Scales from one patch to the picture's size, each twice the last."""
    height, width = args.patch[::-1]
    steps = round(np.log2(size[0] / height))
    scales = [(height << i, width << i) for i in range(steps + 1)]
    sizes = {"scales": scales, "crop_size": scales[0], "input_size": scales[0]}
    return RefineConfig(**sizes, n_points=args.n_points, n_patches=args.n_patches, weights=args.refinement or [])


def stand_ins(classes: int) -> tuple[Any, list[Any]]:
    """A convolution of the colours, and one of both probabilities."""
    from mxnet import nd

    rng = np.random.default_rng(1)
    look = nd.array(rng.normal(0, 1.5, (classes, 3, 3, 3)))
    join = nd.array(rng.normal(0, 3, (classes, 2 * classes, 1, 1)))

    class Module:
        _active = True

        def __call__(self, fine: nd.NDArray, coarse: nd.NDArray) -> nd.NDArray:
            both = nd.concat(fine, coarse, dim=1)
            return nd.Convolution(both, join, no_bias=True, kernel=(1, 1), num_filter=classes)

    def network(x: nd.NDArray) -> nd.NDArray:
        return nd.Convolution(x, look, no_bias=True, kernel=(3, 3), pad=(1, 1), num_filter=classes)

    return network, [Module()]


def predictor(args: argparse.Namespace, size: tuple[int, int]) -> tuple[ProgressivePredictor, np.ndarray]:
    """What refines a picture of this size, and the colours of its classes."""
    config = settings(args, size)
    if not args.checkpoint:
        palette = np.random.default_rng(2).integers(0, 256, (args.classes, 3), np.uint8)
        return ProgressivePredictor(*stand_ins(args.classes), config, scratch=args.folder), palette
    import mxnet as mx

    from mxnetseg.engine.checkpoint import load_model
    from mxnetseg.engine.refine import load_modules

    model, loaded = load_model(Path(args.checkpoint), mx.cpu())
    modules = load_modules(config, model.num_classes)
    facts = {"divisor": model.divisor, "min_size": model.min_size, "scratch": args.folder}
    network = ProgressivePredictor(model.inference, modules, config, **facts)
    return network, np.asarray(loaded.meta["palette"], np.uint8)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Refine one picture, in parts or whole."""
    with TiffPicture(args.picture) as picture:
        network, palette = predictor(args, picture.size)
        before, wall, cpu = peak(), time.perf_counter(), time.process_time()
        if args.whole:
            mosaic.IN_MEMORY = sys.maxsize
            np.save(args.labels, network.labels(picture.take(*map(np.arange, picture.size))))
        else:
            write_labels(args.labels, picture, network.refine(picture), palette)
        pixels = picture.size[0] * picture.size[1] / 1e6
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    figures = {"size": f"{picture.size[1]}x{picture.size[0]}", "megapixels": round(pixels, 1), "before_mib": before}
    times = {"seconds": round(wall, 1), "seconds_per_megapixel": wall / pixels, "cpu_per_megapixel": cpu / pixels}
    return {**figures, "peak_mib": peak(), **times}


def peak() -> int:
    """Largest resident memory so far, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def run_child(args: argparse.Namespace, picture: Path, *more: str) -> dict[str, Any]:
    """Figures of one picture, from a fresh process."""
    words = [sys.executable, __file__, *sys.argv[1:], "--folder", str(args.folder), "--picture", str(picture), *more]
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)


def row_of(args: argparse.Namespace, factor: int) -> dict[str, Any]:
    """Figures of a picture of so many times the first one's height and width."""
    size = (FIRST[0] * factor, FIRST[1] * factor)
    picture, labels = args.folder / "picture.tif", args.folder / "labels.tif"
    write_picture(picture, size)
    row = run_child(args, picture, "--labels", str(labels))
    if row["megapixels"] <= args.check:
        whole = args.folder / "whole.npy"
        row["in_memory"] = run_child(args, picture, "--labels", str(whole), "--whole")
        with TiffPicture(labels) as written:
            ours = written.page.asarray()
        row["equal"] = bool((ours == np.load(whole)).all())
        row["labels"] = len(np.unique(ours))
    return row


def show(row: dict[str, Any]) -> str:
    """A row of the table."""
    times = f"{row['seconds_per_megapixel']:.2f} | {row['cpu_per_megapixel']:.2f}"
    whole = f"{row['in_memory']['peak_mib']} | {'yes' if row['equal'] else 'NO'}" if "equal" in row else "|"
    return f"| {row['size']} | {row['megapixels']} | {row['before_mib']} | {row['peak_mib']} | {times} | {whole} |"


def main() -> None:
    """Measure every size in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--factors", type=int, nargs="+", default=[1, 2, 4, 8], help="heights, in parts of 1024 (2, 8, 34, 134 MPix)")
    add("--check", type=float, default=9, metavar="MPIX", help="compare with the whole picture in memory up to here")
    add("--classes", type=int, default=7)
    add("--patch", type=int, nargs=2, default=(512, 256), metavar=("W", "H"))
    add("--n-points", type=float, default=0.75)
    add("--n-patches", type=int, default=-1)
    add("--checkpoint", help="a network, in place of the stand-in")
    add("--refinement", nargs="+", help="its refinement modules")
    add("--folder", type=Path, help="for pictures and temporary files (a temporary folder)")
    add("--json", type=Path)
    for name in ("--picture", "--labels"):
        add(name, type=Path, help=argparse.SUPPRESS)
    add("--whole", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.picture:
        print(json.dumps(measure(args)))
        return
    load = [round(os.getloadavg()[0], 1)]
    print(
        "| size | MPix | MiB before | MiB at most | s/MPix | CPU s/MPix | MiB in memory | equal |\n" + "|--:" * 8 + "|"
    )
    rows = []
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        args.folder = Path(folder)
        for factor in args.factors:
            rows.append(row_of(args, factor))
            print(show(rows[-1]), flush=True)
    load.append(round(os.getloadavg()[0], 1))
    print(f"load {load[0]} to {load[1]} on {os.cpu_count()} processors")
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "load": load, "processors": os.cpu_count()}, indent=1))


if __name__ == "__main__":
    main()
