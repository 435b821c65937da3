"""Resizing a part gives what resizing the whole gives, and that is what OpenCV gives."""

import cv2
import numpy as np
import pytest

from mxnetseg.data.bilinear import Axis, blend, select
from mxnetseg.data.pictures import ArrayPicture, ResizedPicture, resized_picture


def sizes(count):
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield tuple(rng.integers(1, 260, 4))
    yield from (
        (64, 96, 32, 48),
        (32, 48, 64, 96),
        (90, 30, 30, 10),
        (1, 1, 5, 7),
        (33, 2000, 8, 501),
        (3, 9000, 2, 999),
    )


def test_pictures_are_resized_as_opencv_does():
    rng = np.random.default_rng(1)
    for height, width, *size in sizes(150):
        image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        ours = ResizedPicture(ArrayPicture(image), size).take(*map(np.arange, size))
        assert (ours == cv2.resize(image, size[::-1])).all(), (height, width, size)


def test_maps_are_resized_as_opencv_does():
    rng = np.random.default_rng(1)
    for height, width, *size in list(sizes(40))[:40]:
        maps = rng.random((height, width), np.float32)
        rows, columns = (Axis(n, m, np.arange(m)) for n, m in zip(maps.shape, size, strict=True))
        ours = blend(select(maps[None], rows.needed, columns.needed, axis=1), rows, columns)[0]
        np.testing.assert_allclose(ours, cv2.resize(maps, size[::-1]), atol=2e-5, err_msg=str((height, width, size)))


@pytest.mark.parametrize("size", [(200, 300), (31, 47), (100, 100)])
def test_parts_are_those_of_the_whole(size):
    rng = np.random.default_rng(2)
    picture = resized_picture(ArrayPicture(rng.integers(0, 256, (77, 131, 3)).astype(np.uint8)), size)
    whole = picture.take(*map(np.arange, size))
    for _ in range(20):
        rows, columns = (np.unique(rng.integers(0, n, 9)) for n in size)
        assert (picture.take(rows, columns) == whole[np.ix_(rows, columns)]).all()


def test_a_picture_of_the_right_size_is_left_alone():
    picture = ArrayPicture(np.zeros((5, 6, 3), np.uint8))
    assert resized_picture(picture, (5, 6)) is picture


@pytest.mark.parametrize("index", [[2, 3, 4], [0], [1, 4, 5], []])
def test_selecting_touching_and_scattered_pixels(index):
    array, index = np.arange(60).reshape(6, 10), np.array(index, int)
    assert (select(array, index, np.array([3, 4])) == array[index][:, [3, 4]]).all()
