"""Progressive refinement in parts: the same labels whatever is kept where, and however the picture is cut."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from mxnet import nd

from mxnetseg.config import RefineConfig
from mxnetseg.data.tiff import TiffPicture
from mxnetseg.engine.refine import ProgressivePredictor, mosaic
from mxnetseg.engine.refine.grid import grid
from mxnetseg.engine.refine.mosaic import Mosaic
from mxnetseg.engine.refine.points import Points
from mxnetseg.errors import DataError
from mxnetseg.tools.label_tiff import reduced_labels, write_labels

CLASSES, SIZE = 5, (150, 203)
RNG = np.random.default_rng(0)
LOOK = nd.array(RNG.normal(0, 1.5, (CLASSES, 3, 3, 3)))
JOIN = nd.array(RNG.normal(0, 3, (CLASSES, 2 * CLASSES, 3, 3)))
PALETTE = RNG.integers(0, 256, (CLASSES, 3)).astype(np.uint8)


def network(x):
    return nd.Convolution(x, LOOK, no_bias=True, kernel=(3, 3), pad=(1, 1), num_filter=CLASSES)


class Module:
    _active = True

    def __call__(self, fine, coarse):
        both = nd.concat(fine, coarse, dim=1)
        return nd.Convolution(both, JOIN, no_bias=True, kernel=(3, 3), pad=(1, 1), num_filter=CLASSES)


EVEN = {"scales": [(32, 48), (64, 96), (128, 192)], "crop_size": (32, 48), "input_size": (32, 48)}
ODD = {"scales": [(32, 48), (70, 101), (150, 203)], "crop_size": (32, 48), "input_size": (24, 40)}
LARGE_INPUT = {"scales": [(30, 40), (64, 90)], "crop_size": (30, 40), "input_size": (36, 60)}
SMALLER = {"scales": [(30, 40), (64, 90)], "crop_size": (30, 40), "input_size": (30, 40)}


def refine(layout, **settings):
    return ProgressivePredictor(network, [Module()], RefineConfig(**layout, smooth_kernel=3, **settings))


def image():
    small = RNG.integers(0, 256, (19, 26, 3)).astype(np.uint8)
    return np.kron(small, np.ones((8, 8, 1), np.uint8))[: SIZE[0], : SIZE[1]]


def write_picture(path, pixels, tile):
    tifffile.imwrite(path, pixels, tile=tile, photometric="rgb", compression="deflate")
    return TiffPicture(path)


@pytest.mark.parametrize("layout", [EVEN, ODD, LARGE_INPUT, SMALLER])
@pytest.mark.parametrize(
    "settings",
    [
        {"n_patches": -1, "n_points": 0.4},
        {"n_patches": 2, "n_points": 0.9, "sub_batch_size": 2},
        {"n_patches": -1, "n_points": 500, "selection": "official"},
        {"n_patches": 3, "n_points": 1.0, "selection": "official"},
        {"n_patches": 0},
    ],
)
def test_labels_of_a_picture_in_tiles_are_those_of_the_picture_in_memory(tmp_path, monkeypatch, layout, settings):
    pixels = image()
    wanted = refine(layout, **settings).labels(pixels)
    assert len(np.unique(wanted)) > 2
    monkeypatch.setattr(mosaic, "IN_MEMORY", 1)
    tile = (64, 48) if layout is EVEN else (32, 96)
    with write_picture(tmp_path / "a.tif", pixels, tile) as picture:
        labels_at = refine(layout, **settings).refine(picture)
        write_labels(tmp_path / "labels.tif", picture, labels_at, PALETTE)
    assert (tifffile.imread(tmp_path / "labels.tif") == wanted).all()
    rows, columns = np.array([0, 3, 4, 77, 149]), np.array([1, 100, 202])
    assert (labels_at(rows, columns) == wanted[np.ix_(rows, columns)]).all()


@pytest.mark.parametrize("count", [-1, 0, 1, 7, 100, 1234, 6999, 7000, 9999])
def test_points_are_the_highest_scores_and_of_equal_ones_the_first(count):
    scores, size = RNG.integers(0, 4, (10, 14)).astype(np.float32), (70, 100)
    points = Points(scores, size, count)
    pixels = tuple(map(np.arange, size))
    order = np.argsort(-points.scores(*pixels).ravel(), kind="stable")
    wanted = np.zeros(size, bool)
    wanted.ravel()[order[: max(count, 0)]] = True
    assert (points.take(*pixels) == wanted).all()
    some = np.array([3, 50, 51]), np.array([0, 9, 98, 99])
    assert (points.take(*some) == wanted[np.ix_(*some)]).all()


@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("limit", [1, 10**9])
def test_parts_of_a_mosaic(monkeypatch, average, limit):
    """Patches of 40 in steps of less, in files and in memory, against one array."""
    monkeypatch.setattr(mosaic, "IN_MEMORY", limit)
    boxes = grid((90, 100), (40, 40))[::-1]
    ours, whole, counts = Mosaic((90, 100), boxes, average), np.zeros((2, 90, 100)), np.zeros((90, 100))
    for box in boxes:
        patch, (rows, columns) = RNG.random((2, 40, 40), np.float32), np.ix_(*box.pixels)
        ours.add(patch)
        whole[:, rows, columns] = patch + (whole[:, rows, columns] if average else 0)
        frame = 0 if average else 10
        counts[rows[frame : 40 - frame], columns[:, frame : 40 - frame]] += 1
    whole /= np.maximum(counts, 1)
    np.testing.assert_allclose(ours.whole(), whole, rtol=1e-6)
    some = np.array([2, 44, 45, 80]), np.array([30, 31, 66, 99])
    np.testing.assert_allclose(ours.take(*some), whole[:, *np.ix_(*some)], rtol=1e-6)
    if not average:
        assert (ours.mask(*some) == (counts > 0)[np.ix_(*some)]).all()


def _full(*_, **__):
    return open("/dev/full", "r+b", buffering=0)


def test_a_full_scratch_folder_is_told(monkeypatch):
    monkeypatch.setattr(mosaic, "SpooledTemporaryFile", _full)
    with pytest.raises(DataError, match="No space left") as caught:
        refine(EVEN).labels(image())
    assert "--scratch" in caught.value.remedy


def test_an_interrupted_mask_leaves_the_old_one(tmp_path):
    target = tmp_path / "out" / "labels.tif"
    calls = []

    def labels_at(rows, columns):
        calls.append(len(rows))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return np.zeros((len(rows), len(columns)), np.uint8)

    with write_picture(tmp_path / "a.tif", np.zeros((1100, 600, 3), np.uint8), (256, 256)) as picture:
        target.parent.mkdir()
        target.write_text("old")
        with pytest.raises(KeyboardInterrupt):
            write_labels(target, picture, labels_at, PALETTE)
        assert target.read_text() == "old" and os.listdir(target.parent) == ["labels.tif"]


def test_masks_carry_colours_and_the_place_on_the_earth(tmp_path):
    scale, tie = (0.5, 0.5, 0.0), (0.0, 0.0, 0.0, 4e5, 5e6, 0.0)
    keys = (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32633)
    tags = [(33550, "d", 3, scale, True), (33922, "d", 6, tie, True), (34735, "H", 12, keys, True)]
    pixels = image()
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(64, 64), photometric="rgb", extratags=tags)
    with TiffPicture(tmp_path / "a.tif") as picture:
        write_labels(tmp_path / "b.tif", picture, lambda *place: picture.take(*place)[..., 0] % CLASSES, PALETTE)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        page = file.pages.first
        assert page.is_tiled and page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        assert (page.asarray() == pixels[..., 0] % CLASSES).all()
        assert (page.colormap[:, :CLASSES].T // 257 == PALETTE).all()
        assert page.geotiff_tags["ModelTiepoint"] == list(tie) and page.geotiff_tags["ProjectedCSTypeGeoKey"] == 32633


def test_many_classes_are_written_with_16_bits(tmp_path):
    palette = np.zeros((300, 3), np.uint8)
    with write_picture(tmp_path / "a.tif", image(), (64, 64)) as picture:
        write_labels(tmp_path / "b.tif", picture, lambda ys, xs: np.add.outer(ys, xs).astype(np.uint16) % 300, palette)
    labels = tifffile.imread(tmp_path / "b.tif")
    assert labels.dtype == np.uint16 and labels.max() == 299


def test_reduced_labels_are_those_in_the_middle():
    labels = RNG.integers(0, 9, (90, 120)).astype(np.uint8)
    reduced = reduced_labels(lambda *place: labels[np.ix_(*place)], labels.shape, (30, 40))
    assert (reduced == labels[1::3, 1::3]).all()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_picture():
    """Four times the pixels: whole maps would take 176 MiB more."""
    root = Path(__file__).resolve().parents[2]
    program = [sys.executable, str(root / "benchmarks" / "progressive_memory.py"), "--factors", "1", "2"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    found = subprocess.run(
        [*program, "--check", "0", "--json", "/dev/stderr"], env=environment, check=True, capture_output=True
    )
    small, large = json.loads(found.stderr)["rows"]
    assert large["megapixels"] == pytest.approx(4 * small["megapixels"], rel=0.01)
    assert large["peak_mib"] - small["peak_mib"] < 40
