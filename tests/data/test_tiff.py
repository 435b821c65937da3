"""TIFF in tiles: every common form is read part by part; every other, and every damage, is told."""

import numpy as np
import pytest
import tifffile

from mxnetseg.data.images import DamagedSampleError
from mxnetseg.data.tiff import TiffPicture, is_tiled_tiff
from mxnetseg.errors import DataError

SIZE = (100, 170)
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (*SIZE, 5)).astype(np.uint8)


def write(path, array, **settings):
    settings = {"tile": (32, 48), "photometric": "rgb", "metadata": None, **settings}
    tifffile.imwrite(path, array, **settings)
    return path


def parts():
    """Rows and columns of parts of the picture, touching and scattered ones."""
    yield np.arange(SIZE[0]), np.arange(SIZE[1])
    yield np.arange(30, 70), np.arange(47, 49)
    yield np.array([0, 31, 32, 99]), np.array([5, 6, 100, 169])


RGB, GREY = PIXELS[..., :3], PIXELS[..., 0]
FORMS = {
    "plain": (RGB, {}),
    "deflate": (RGB, {"compression": "deflate", "predictor": True}),
    "lzw": (RGB, {"compression": "lzw", "predictor": True}),
    "zstd": (RGB, {"compression": "zstd"}),
    "packbits": (RGB, {"compression": "packbits"}),
    "bigtiff": (RGB, {"bigtiff": True}),
    "big-endian": (RGB, {"byteorder": ">"}),
    "big-endian, 16 bits": (RGB.astype(np.uint16) * 256 + 77, {"byteorder": ">", "compression": "deflate"}),
    "alpha": (PIXELS[..., :4], {"extrasamples": ["unassalpha"], "compression": "lzw"}),
    "five bands": (PIXELS, {"planarconfig": "contig"}),
    "planes": (np.moveaxis(RGB, -1, 0), {"planarconfig": "separate", "compression": "deflate"}),
    "grey": (GREY, {"photometric": "minisblack"}),
    "grey, 16 bits": (GREY.astype(np.uint16) * 256 + 3, {"photometric": "minisblack"}),
}


@pytest.mark.parametrize("form", FORMS)
def test_any_part_of_any_form(tmp_path, form):
    array, settings = FORMS[form]
    path = write(tmp_path / "a.tif", array, **settings)
    wanted = np.repeat(GREY[..., None], 3, 2) if form.startswith("grey") else RGB
    assert is_tiled_tiff(path)
    with TiffPicture(path) as picture:
        assert picture.size == SIZE
        for rows, columns in parts():
            assert (picture.take(rows, columns) == wanted[np.ix_(rows, columns)]).all()


def test_palettes_give_their_colours(tmp_path):
    table = RNG.integers(0, 256, (3, 256)).astype(np.uint16)
    path = write(tmp_path / "a.tif", GREY, photometric="palette", colormap=table * 257)
    with TiffPicture(path) as picture:
        assert (picture.take(*next(parts())) == table.T[GREY]).all()


def test_jpeg_tiles_give_rgb(tmp_path):
    """Whole tiles: in others the writer's black filling reaches into the picture."""
    path = write(tmp_path / "a.tif", np.full((64, 96, 3), (200, 60, 20), np.uint8), compression="jpeg")
    with TiffPicture(path) as picture:
        found = picture.take(np.arange(64), np.arange(96))
    assert np.abs(found.astype(int) - (200, 60, 20)).max() < 4


def test_tiles_that_are_left_out_are_black(tmp_path):
    path = write(tmp_path / "a.tif", RGB, compression="deflate")
    with tifffile.TiffFile(path, mode="r+b") as file:
        tag = file.pages.first.tags["TileByteCounts"]
        tag.overwrite([0, *tag.value[1:]])
    with TiffPicture(path) as picture:
        found = picture.take(*next(parts()))
    assert (found[:32, :48] == 0).all() and (found[32:] == RGB[32:]).all()


@pytest.mark.parametrize(
    ("array", "settings", "text"),
    [
        (RGB, {"tile": None, "rowsperstrip": 10}, "in strips"),
        (RGB.astype(np.float32), {}, "of 32 bits"),
        (PIXELS[..., :4], {"photometric": "separated"}, "photometric 5"),
        (GREY, {"photometric": "miniswhite"}, "photometric 0"),
        (RGB, {"extratags": [(274, "H", 1, 6, True)]}, "orientation"),
    ],
)
def test_other_forms_are_refused(tmp_path, array, settings, text):
    with pytest.raises(DataError, match=text) as caught:
        TiffPicture(write(tmp_path / "a.tif", array, **settings))
    assert "TILED=YES" in caught.value.remedy


def test_truncated_files_are_told_at_once(tmp_path):
    path = write(tmp_path / "a.tif", RGB, compression="deflate")
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(DamagedSampleError, match=r"truncated TIFF, \d+ of 16 tiles are missing"):
        TiffPicture(path)


def test_files_without_an_end_are_told(tmp_path):
    path = write(tmp_path / "a.tif", RGB)
    path.write_bytes(path.read_bytes()[:6])
    with pytest.raises(DamagedSampleError, match="damaged TIFF"):
        is_tiled_tiff(path)


def test_damaged_tiles_are_named(tmp_path):
    path = write(tmp_path / "a.tif", RGB, compression="deflate")
    with tifffile.TiffFile(path) as file:
        start = file.pages.first.dataoffsets[5]
    content = bytearray(path.read_bytes())
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    with TiffPicture(path) as picture, pytest.raises(DamagedSampleError, match="damaged TIFF, tile 5"):
        picture.take(*next(parts()))


def test_other_files_are_no_tiled_tiff(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG....")
    (tmp_path / "empty").write_bytes(b"")
    write(tmp_path / "strips.tif", RGB, tile=None)
    assert not any(is_tiled_tiff(tmp_path / name) for name in ("a.png", "empty", "strips.tif"))
    with pytest.raises(DamagedSampleError, match="cannot be read"):
        is_tiled_tiff(tmp_path / "nothing.tif")
