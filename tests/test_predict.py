"""The predict command: any image, any size, nothing half written, everything skipped is named."""

import json

import cv2
import numpy as np
import pytest
import tifffile
from tiny import write_checkpoint, write_refinement

from mxnetseg import cli
from mxnetseg.data.datasets.cityscapes import Cityscapes
from mxnetseg.engine.checkpoint import load_model


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "tiny_best.params")


def picture(path, size=(50, 70), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(small, size[::-1]))
    return path


def run(capsys, checkpoint, *words):
    code = cli.main(["predict", "--checkpoint", str(checkpoint), "--ctx", "cpu", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_three_files_per_image(capsys, checkpoint, tmp_path):
    source = picture(tmp_path / "a.b.jpg")
    code, out, err = run(capsys, checkpoint, source, "--out", tmp_path / "out")
    assert code == 0, err
    assert "1 segmented, 0 skipped; protocol: whole, image size" in out
    mask = cv2.imread(str(tmp_path / "out/mask/a.b.png"), cv2.IMREAD_UNCHANGED)
    color = cv2.imread(str(tmp_path / "out/color/a.b.png"))[..., ::-1]
    overlay = cv2.imread(str(tmp_path / "out/overlay/a.b.png"))
    assert mask.shape == (50, 70) and mask.dtype == np.uint8 and len(np.unique(mask)) > 1
    assert (color == Cityscapes.palette[mask]).all()
    assert overlay.shape[0] == 50 and overlay.shape[1] > 70
    from mxnetseg.config import EvalConfig
    from mxnetseg.engine.inference import Predictor

    model, _ = load_model(checkpoint)
    image = cv2.imread(str(source))[..., ::-1]
    assert (mask == Predictor(model.inference, EvalConfig(), (48, 48)).labels(image)).all()


def test_folders_keep_their_form_and_what_is_no_image_is_named(capsys, checkpoint, tmp_path):
    folder = tmp_path / "in"
    for name in ("x/a.jpg", "x/a.png", "y/b.png"):
        picture(folder / name)
    (folder / "notes.txt").write_text("hello")
    (folder / "y" / "broken.jpg").write_bytes((folder / "x" / "a.jpg").read_bytes()[:200])
    code, out, _ = run(capsys, checkpoint, folder, "--out", tmp_path / "out")
    assert code == 0
    assert "3 segmented, 2 skipped" in out
    assert "notes.txt: not an image" in out and "broken.jpg: damaged" in out
    words = [folder / "notes.txt", folder / "y" / "b.png", "--json", "--out", tmp_path / "two"]
    record = json.loads(run(capsys, checkpoint, *words)[1])
    assert (record["segmented"], record["folder"]) == (1, str(tmp_path / "two"))
    assert record["skipped"] == [{"file": str(folder / "notes.txt"), "reason": record["skipped"][0]["reason"]}]
    written = {p.relative_to(tmp_path / "out" / "mask").as_posix() for p in (tmp_path / "out/mask").rglob("*.png")}
    assert written == {"x/a.jpg.png", "x/a.png.png", "y/b.png"}


def test_large_images_go_through_windows(capsys, checkpoint, tmp_path):
    source = picture(tmp_path / "a.png", (120, 200))
    whole, slide, automatic = (
        [*words, "--out", tmp_path / str(i)]
        for i, words in enumerate((["--protocol", "whole"], ["--protocol", "slide"], ["--whole-limit", "0.02"]))
    )
    masks = []
    for words in (whole, slide, automatic):
        code, out, err = run(capsys, checkpoint, source, *words)
        assert code == 0, err
        masks.append(cv2.imread(str(words[-1] / "mask/a.png"), cv2.IMREAD_UNCHANGED))
    assert "above 0.02 million pixels: slide" in out
    assert (masks[1] == masks[2]).all() and not (masks[0] == masks[1]).all()


def test_images_are_seen_at_the_scale_of_the_evaluation(capsys, checkpoint, tmp_path):
    scaled = write_checkpoint(tmp_path / "scaled.params", "eval.base_size=100")
    large = picture(tmp_path / "large.png", (120, 200))
    small = cv2.resize(cv2.imread(str(large)), (100, 60), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "small.png"), small)
    code, out, err = run(capsys, scaled, large, "--whole-limit", "0.01", "--out", tmp_path / "o")
    assert code == 0, err
    assert "whole, long side 100" in out  # 24 000 pixels are above the limit, 6 000 are not
    assert run(capsys, checkpoint, tmp_path / "small.png", "--out", tmp_path / "o")[0] == 0
    masks = [cv2.imread(str(tmp_path / f"o/mask/{name}.png"), cv2.IMREAD_UNCHANGED) for name in ("large", "small")]
    assert masks[0].shape == (120, 200)
    assert (masks[0][::2, ::2] == masks[1]).mean() > 0.9


def test_pixel_limit_alpha_and_multi_scale(capsys, checkpoint, tmp_path):
    source = picture(tmp_path / "a.png", (120, 200))
    code, out, _ = run(capsys, checkpoint, source, "--max-pixels", 0.01, "--out", tmp_path / "o")
    assert code == 1 and "200x120" in out and "--max-pixels" in out and not (tmp_path / "o").exists()
    assert run(capsys, checkpoint, source, "--alpha", 2)[0] == 2
    code, out, _ = run(capsys, checkpoint, source, "--ms", "--alpha", 0, "--out", tmp_path / "o")
    assert code == 0 and "mirrored too" in out
    overlay = cv2.imread(str(tmp_path / "o/overlay/a.png"))
    assert (overlay[:, :200] == cv2.imread(str(source))).all()


def test_videos_give_an_overlay(capsys, checkpoint, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 5, (64, 48))
    for i in range(3):
        writer.write(np.full((48, 64, 3), 60 * i, np.uint8))
    writer.release()
    (tmp_path / "w.mp4").write_bytes(b"nothing")
    code, out, err = run(capsys, checkpoint, tmp_path / "v.mp4", tmp_path / "w.mp4", "--out", tmp_path / "o")
    assert code == 0, err
    assert "1 segmented, 1 skipped" in out
    result = cv2.VideoCapture(str(tmp_path / "o/overlay/v.mp4"))
    assert int(result.get(cv2.CAP_PROP_FRAME_COUNT)) == 3 and result.get(cv2.CAP_PROP_FPS) == 5
    assert [p.name for p in (tmp_path / "o/overlay").iterdir()] == ["v.mp4"]


def test_missing_inputs_are_an_error(capsys, checkpoint, tmp_path):
    code, _, err = run(capsys, checkpoint, tmp_path / "nowhere")
    assert code == 2 and "nowhere" in err


@pytest.fixture(scope="module")
def refinement(tmp_path_factory):
    return write_refinement(tmp_path_factory.mktemp("weights") / "refinement.params")


PROGRESSION = ["--scales", "48-24,96-48,192-96", "--input-size", "40", "24", "--smooth_kernel", "3"]


def test_progressive_refinement(capsys, checkpoint, refinement, tmp_path):
    """The coarse view alone differs; the order of the options' spellings does not matter."""
    source, masks = picture(tmp_path / "a.png", (100, 190)), []
    for i, words in enumerate((["--n_patches", "0"], ["--refinement", refinement, "--save_pred"])):
        code, out, err = run(capsys, checkpoint, source, *PROGRESSION, *words, "--save_dir", tmp_path / str(i))
        assert code == 0, err
        masks.append(cv2.imread(str(tmp_path / str(i) / "mask/a.png"), cv2.IMREAD_UNCHANGED))
    assert "protocol: progressive, scales 24x48 48x96 96x192, patches 24x48, seen at 24x40, all refined" in out
    assert masks[0].shape == masks[1].shape == (100, 190) and (masks[0] != masks[1]).any()
    stages = {p.name for p in (tmp_path / "1/stages/a").iterdir()}
    scales = ("0_48x24", "1_96x48", "2_192x96")
    assert stages == {"image.png", *(f"{s}{kind}.png" for s in scales for kind in ("", "_uncertainty"))}
    assert all(cv2.imread(str(tmp_path / "1/stages/a" / name)).shape[:2] == (100, 190) for name in stages)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--n_points", "0.5"], "--n-points without the scales"),
        (["--protocol", "whole", *PROGRESSION], "--protocol whole with the sizes of a progression"),
        (PROGRESSION, "0 refinement modules for 2 scales"),
        ([*PROGRESSION, "--smooth_kernel", "16"], "must be odd"),
        ([*PROGRESSION, "--refinement", "nothing.params"], "no checkpoint nothing.params"),
    ],
)
def test_mistakes_in_a_progression_are_explained(capsys, checkpoint, tmp_path, words, text):
    code, _, err = run(capsys, checkpoint, picture(tmp_path / "a.png"), *words)
    assert code != 0 and text in err


def test_weights_that_are_no_refinement_are_refused(capsys, checkpoint, tmp_path):
    other = write_refinement(tmp_path / "other.params", classes=3)
    for file, text in ((checkpoint, "holds no refinement module"), (other, "refines 3 classes")):
        code, _, err = run(capsys, checkpoint, picture(tmp_path / "a.png"), *PROGRESSION, "--refinement", file)
        assert code != 0 and text in err


def tiled(path, source, **settings):
    image = cv2.imread(str(source))[..., ::-1]
    tifffile.imwrite(path, image, **{"tile": (32, 48), "photometric": "rgb", "compression": "lzw", **settings})
    return path


def test_pictures_in_tiles_may_have_any_size(capsys, checkpoint, refinement, tmp_path):
    """The mask is that of the same picture decoded as a whole; what is shown of it is reduced."""
    source = picture(tmp_path / "a.png", (100, 2200))
    large = tiled(tmp_path / "b.tif", source)
    words = [*PROGRESSION, "--refinement", refinement, "--save_pred", "--scratch", tmp_path, "--out", tmp_path / "o"]
    code, _, err = run(capsys, checkpoint, source, *words)
    assert code == 0, err
    code, out, err = run(capsys, checkpoint, large, *words, "--max-pixels", "0.001")
    assert code == 0 and "1 segmented" in out, out + err
    mask = cv2.imread(str(tmp_path / "o/mask/a.png"), cv2.IMREAD_UNCHANGED)
    assert (tifffile.imread(tmp_path / "o/mask/b.tif") == mask).all() and len(np.unique(mask)) > 1
    stages = {p.name for p in (tmp_path / "o/stages/b").iterdir()}
    assert stages == {p.name for p in (tmp_path / "o/stages/a").iterdir()}
    shown = [tmp_path / "o/color/b.png", *(tmp_path / "o/stages/b").iterdir()]
    assert all(cv2.imread(str(path)).shape == (93, 2048, 3) for path in shown)
    assert cv2.imread(str(tmp_path / "o/overlay/b.png")).shape[0] == 93


def test_ways_out_for_pictures_that_are_too_large(capsys, checkpoint, refinement, tmp_path):
    source = picture(tmp_path / "a.png", (100, 190))
    strips = tiled(tmp_path / "strips.tif", source, tile=None, rowsperstrip=10)
    broken = tiled(tmp_path / "broken.tif", source)
    broken.write_bytes(broken.read_bytes()[:-500])
    words = [*PROGRESSION, "--refinement", refinement, "--max-pixels", "0.01", "--out", tmp_path / "o"]
    code, out, _ = run(capsys, checkpoint, source, strips, broken, *words)
    assert code == 1 and "0 segmented, 3 skipped" in out
    assert out.count("TILED=YES") == 2 and "--scales" in out and "broken.tif: truncated TIFF" in out
    assert not (tmp_path / "o").exists()
    code, _, err = run(capsys, checkpoint, source, *words, "--scratch", tmp_path / "nowhere")
    assert code == 2 and "--scratch" in err
