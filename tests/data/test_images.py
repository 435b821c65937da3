"""Files that must not be decoded: truncated (even after another package told Pillow to be lenient), huge, lossy."""

import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from mxnetseg.data import images
from mxnetseg.data.images import DamagedSampleError, LossyMaskError, read_mask, read_rgb


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize(("read", "shape", "suffix"), [(read_mask, (99, 99), "png"), (read_rgb, (99, 99, 3), "jpg")])
def test_truncated_files_are_damaged(tmp_path, monkeypatch, lenient, read, shape, suffix):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, shape, np.uint8)).save(path)
    assert read(path).shape == shape
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    with pytest.raises(DamagedSampleError, match=path.name):
        read(path)


def header_of(width, height):
    """PNG that says it is huge: a header and no pixels."""
    chunk = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    parts = [(13, chunk), (0, b"IDAT"), (0, b"IEND")]
    encoded = [n.to_bytes(4, "big") + part + zlib.crc32(part).to_bytes(4, "big") for n, part in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(encoded)


@pytest.mark.parametrize("read", [read_rgb, read_mask])
def test_pixels_are_counted_before_they_are_decoded(tmp_path, monkeypatch, read):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((10, 11), np.uint8)).save(path)
    monkeypatch.setattr(images, "MAX_PIXELS", 110)
    assert read(path).shape[:2] == (10, 11)
    monkeypatch.setattr(images, "MAX_PIXELS", 109)
    monkeypatch.setattr(images.cv2, "imdecode", None)
    with pytest.raises(DamagedSampleError, match="11x10 are 0 million pixels"):
        read(path)


@pytest.mark.parametrize("size", [(20_000, 20_000), (12_000, 12_000), (2**31 - 1, 2**31 - 1)])
@pytest.mark.parametrize("read", [read_rgb, read_mask])
def test_huge_headers_are_refused(tmp_path, read, size):
    path = tmp_path / "bomb.png"
    path.write_bytes(header_of(*size))
    with pytest.raises(DamagedSampleError, match=r"bomb\.png") as caught:
        read(path)
    assert caught.value.remedy == "cut it into tiles"


def test_16_bit_colours_in_tiff_are_read_and_counted(tmp_path, monkeypatch):
    path = tmp_path / "deep.tif"
    cv2.imwrite(str(path), np.full((9, 12, 3), 257 * 7, np.uint16))
    assert (read_rgb(path) == 7).all()
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    with pytest.raises(DamagedSampleError, match="12x9 are"):
        read_rgb(path)


def test_a_chunk_that_announces_gigabytes_is_not_an_image(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:8] + b"\x80\0\0\0" + path.read_bytes()[12:])
    for read in (read_rgb, read_mask):
        with pytest.raises(DamagedSampleError, match="not an image"):
            read(path)


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_masks_compressed_with_loss_are_refused_even_where_all_values_are_classes(tmp_path, kind):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path, kind)
    with pytest.raises(LossyMaskError, match=kind):
        read_mask(path)
