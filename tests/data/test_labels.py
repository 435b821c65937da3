from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mxnetseg.data.images import DamagedSampleError, LossyMaskError, read_mask, read_rgb
from mxnetseg.data.labels import IGNORE, LabelMap, identity, shifted
from mxnetseg.errors import DataError

from .conftest import mask, picture, write


def test_maps():
    raw = np.array([[0, 1, 2, 255]], np.uint8)
    assert LabelMap(identity(3, 255), 3).apply(raw, "m").tolist() == [[0, 1, 2, IGNORE]]
    assert LabelMap(identity(3, 255), 3).apply(raw, "m").dtype == np.int32
    assert LabelMap(shifted(2, 255), 2).apply(raw, "m").tolist() == [[IGNORE, 0, 1, IGNORE]]
    assert LabelMap({0: 0, 1000: 1}, 2).apply(np.array([[0, 1000]], np.uint16), "m").tolist() == [[0, 1]]


@pytest.mark.parametrize("classes", [2, 127, 128, 250])
def test_compact_labels_are_equal(classes):
    table, raw = LabelMap(identity(classes, 255), classes), mask(0, [*range(classes), 255])
    assert np.array_equal(table.apply(raw, "m"), table.apply(raw, "m", compact=True))
    assert table.apply(raw, "m", compact=True).itemsize < 4


@pytest.mark.parametrize(
    ("values", "classes", "reason"),
    [
        ([0, 255], 2, "0/255 mask"),
        ([0, 1, 2, 255], 3, "255 usually marks void"),
        ([1, 2, 3], 3, "start at 1"),
        ([0, 1, 2, 3], 3, "void value"),
        (list(range(200)), 3, "photograph"),
        ([0, 7, 11], 3, "id map"),
        ([0, 127, 254], 3, "divide the masks by 127"),
        ([0, 257, 514], 3, "divide the masks by 257"),
        ([0, 1, 65535], 3, "65535 is -1"),
        ([0, 1000, 1001, 2000], 3, "instance ids"),
    ],
)
@pytest.mark.parametrize("compact", [False, True])
def test_values_outside_the_classes_are_named_with_the_likely_reason(values, classes, reason, compact):
    raw = mask(0, values, dtype=np.uint16 if max(values) > 255 else np.uint8)
    with pytest.raises(DataError) as caught:
        LabelMap(identity(classes), classes).apply(raw, "city/m.png", compact=compact)
    assert "city/m.png" in str(caught.value)
    assert str(min(v for v in values if v >= classes)) in caught.value.found
    assert reason in caught.value.remedy


def test_palette_masks_give_indices(tmp_path):
    image = Image.fromarray(mask(0, [0, 1, 2]), mode="P")
    image.putpalette([10, 20, 30, 200, 100, 50, 7, 8, 9])
    image.save(tmp_path / "p.png")
    assert np.array_equal(read_mask(tmp_path / "p.png"), mask(0, [0, 1, 2]))


def test_colour_masks_are_refused(tmp_path):
    with pytest.raises(DataError, match="colours") as caught:
        read_mask(write(tmp_path / "m.png", picture(0)))
    assert not isinstance(caught.value, DamagedSampleError)


def test_orientation_tags_are_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(0)).save(tmp_path / "i.jpg", exif=exif)
    assert read_rgb(tmp_path / "i.jpg").shape == picture(0).shape


def test_images_are_rgb(tmp_path):
    assert np.array_equal(read_rgb(write(tmp_path / "i.png", picture(0))), picture(0))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"not an image" * 9])
def test_damaged_files_are_named(tmp_path, suffix, damage):
    path = write(tmp_path / f"broken{suffix}", picture(0, (100, 120)))
    path.write_bytes(damage(path.read_bytes()))
    for read in (read_rgb, read_mask):
        with pytest.raises((DamagedSampleError, LossyMaskError), match="broken"):
            read(path)
