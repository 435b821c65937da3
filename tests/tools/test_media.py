"""Finding, naming and reading what a user gives."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from mxnetseg.errors import DataError
from mxnetseg.tools.media import VideoWriter, collect, read_frames, read_picture


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def names(inputs):
    return [item.name for item in collect(inputs)]


def test_names_keep_sub_folders_dots_and_colliding_extensions(tmp_path):
    for name in ("b.c.jpg", "x/a.jpg", "x/a.png", "y/a.jpg", ".hidden/z.jpg", "y/.z.png"):
        touch(tmp_path / name)
    assert names([tmp_path]) == ["b.c", "x/a.jpg", "x/a.png", "y/a"]


def test_names_of_several_folders_never_collide(tmp_path):
    given = [touch(tmp_path / d / "in" / "a.jpg").parent for d in ("1", "2", "3")]
    found = names([*given, given[0], given[1] / "a.jpg"])
    assert found == ["in/a_1", "in/a_2", "in/a_3"], "each file once, each with a name of its own"
    assert names([given[0], touch(tmp_path / "4" / "out" / "a.jpg").parent]) == ["in/a.jpg", "out/a.jpg"]


def test_missing_inputs_are_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        collect([tmp_path / "nowhere"])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "I;16", "1", "LA"])
def test_any_picture_becomes_rgb(tmp_path, mode):
    size = (7, 5)
    image = Image.new("I;16", size, 200 * 257) if mode == "I;16" else Image.new("RGB", size, (200,) * 3).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    got = read_picture(path, 10**6)
    assert got.dtype == np.uint8 and got.shape == (5, 7, 3)
    assert mode == "1" or abs(int(got[2, 3, 1]) - 200) < 5


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert read_picture(tmp_path / "a.jpg", 100).shape == (8, 4, 3)


def test_too_many_pixels_are_refused_before_decoding(tmp_path, monkeypatch):
    Image.new("L", (300, 200)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    with pytest.raises(DataError, match="300x200"):
        read_picture(tmp_path / "a.png", 59_999)


@pytest.mark.parametrize("lenient", [False, True])
def test_what_is_no_image_or_damaged_says_so(tmp_path, monkeypatch, lenient):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(DataError, match="not an image"):
        read_picture(tmp_path / "a.txt", 10**6)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99, 3), np.uint8)).save(tmp_path / "b.png")
    data = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="damaged"):
        read_picture(tmp_path / "b.png", 10**6)


def test_video_round_trip_and_no_half_files(tmp_path):
    target = tmp_path / "new" / "a.mp4"
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[..., 0] = 250
    with VideoWriter(target, 10) as video:
        for _ in range(4):
            video.write(frame)
        assert not target.exists()
    frames, rate, count = read_frames(target)
    got = list(frames)
    assert (len(got), count, rate) == (4, 4, 10)
    assert got[0][..., 0].mean() > 200 > 60 > got[0][..., 2].mean(), "red stays red"
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "new" / "b.mp4", 10) as video:
        video.write(frame)
        raise RuntimeError
    assert [p.name for p in target.parent.iterdir()] == ["a.mp4"]
    (tmp_path / "c.mp4").write_bytes(b"no video")
    cv2.setLogLevel(0)
    with pytest.raises(DataError, match="video"):
        read_frames(tmp_path / "c.mp4")
