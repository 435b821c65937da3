"""Truncated files are refused even after another package told Pillow to be lenient."""

import numpy as np
import pytest
from PIL import Image, ImageFile

from mxnetseg.data.images import DamagedSampleError, read_mask, read_rgb


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
