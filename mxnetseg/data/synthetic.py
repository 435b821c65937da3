"""Generated street scenes in the folder form of Cityscapes."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ..errors import DataError
from .scenery import BUILDING, ROAD, SIDEWALK, SKY, VEGETATION, VOID, View, draw_scene

__all__ = ["VERSION", "generate_synthetic", "render"]

VERSION = 7
_USUAL = View()
_MANIFEST = "synthetic.json"
# Relative contrast of fine grain and of blotches, per class.
_GRAIN = {
    ROAD: (0.06, 0.08),
    SIDEWALK: (0.04, 0.08),
    BUILDING: (0.03, 0.06),
    VEGETATION: (0.35, 0.25),
    SKY: (0.01, 0.02),
}


def render(seed: int, index: int, size: tuple[int, int], view: View = _USUAL) -> tuple[np.ndarray, np.ndarray]:
    """Draw one scene.

    Parameters
    ----------
    seed, index : int
        The scene is a pure function of both.
    size : tuple of int
        (height, width).
    view : View
        How hard the scene is.

    Returns
    -------
    image : uint8 array (H, W, 3)
        RGB.
    label : uint8 array (H, W)
        Class ids; 255 on borders and on the hood of the camera car.
    """
    rng = np.random.Generator(np.random.PCG64([seed, index]))
    canvas = draw_scene(*size, rng, view)
    image = _light(_texture(canvas.image, canvas.label, rng), canvas.horizon, rng, view.variety)
    label = _void_borders(canvas.label, view.border)
    if rng.random() < 0.3:
        _draw_hood(image, label, rng)
    return image, label


def _texture(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = label.shape
    fine = rng.standard_normal((height, width), np.float32)
    fine = cv2.GaussianBlur(fine, (3, 3), 0.7) * 1.6
    blotches = cv2.resize(rng.standard_normal((height // 12, width // 12), np.float32), (width, height))
    tables = np.full((2, 256), 0.03, np.float32)
    for kind, strengths in _GRAIN.items():
        tables[:, kind] = strengths
    gain = 1 + fine * cv2.LUT(label, tables[0]) + blotches * cv2.LUT(label, tables[1])
    return image * gain[..., None]


def _light(image: np.ndarray, horizon: float, rng: np.random.Generator, variety: float) -> np.ndarray:
    """Haze, exposure, colour temperature, gamma, blur and noise of the camera."""
    height, width = image.shape[:2]
    haze = (
        np.exp(-np.abs(np.arange(height, dtype=np.float32) - horizon) / (0.08 * height)) * rng.uniform(0, 0.2) * variety
    )
    image += (np.float32(rng.uniform(150, 215)) - image) * haze[:, None, None].astype(np.float32)
    warm = rng.uniform(-0.16, 0.16) * variety
    gain = rng.uniform(0.8, 1.25) ** variety * np.array([1 + warm, 1 + rng.uniform(-0.04, 0.04), 1 - warm])
    slope = 1 + np.linspace(-0.5, 0.5, width) * rng.uniform(-0.3, 0.3) * variety
    image *= (slope[None, :, None] * gain / 255).astype(np.float32)
    image = 255 * cv2.pow(np.clip(image, 0, 1, out=image), rng.uniform(0.8, 1.25))
    image = cv2.GaussianBlur(image, (3, 3), rng.uniform(0.3, 0.8))
    image += rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(1, 4))
    return np.clip(image, 0, 255, out=image).astype(np.uint8)


def _void_borders(label: np.ndarray, width: int) -> np.ndarray:
    """Mark the pixels between two classes as void."""
    kernel = np.ones((width + 1, width + 1), np.uint8)
    return np.where(cv2.dilate(label, kernel) != cv2.erode(label, kernel), VOID, label).astype(np.uint8)


def _draw_hood(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> None:
    height, width = label.shape
    center = (int(width * rng.uniform(0.4, 0.6)), int(height * 1.16))
    axes, color = (int(width * 0.5), int(height * rng.uniform(0.2, 0.26))), rng.uniform(15, 110, 3)
    cv2.ellipse(image, center, axes, 0, 180, 360, color.tolist(), -1, cv2.LINE_AA)
    cv2.ellipse(label, center, axes, 0, 180, 360, VOID, -1)


def generate_synthetic(
    root: str | Path,
    train: int = 320,
    val: int = 80,
    size: tuple[int, int] = (192, 384),
    seed: int = 0,
    progress: bool = True,
    **view: float,
) -> Path:
    """Write a data set of scenes, unless `root` already holds the same one.

    The folder appears when it is complete; an interrupted run leaves none. Of several processes that write the same
    one at once, the first provides it. Files of different parameters, written by this function, are replaced.

    Parameters
    ----------
    root : str or Path
        Folder to create.
    train, val : int
        Numbers of images.
    size : tuple of int
        (height, width).
    seed : int
    progress : bool
        Show a progress bar.
    **view
        How hard the scenes are, see :class:`~mxnetseg.data.scenery.View`.

    Returns
    -------
    Path
        `root`.

    Raises
    ------
    DataError
        If `root` exists and is not such a data set.
    """
    root = Path(root)
    manifest = {"version": VERSION, "train": train, "val": val, "size": list(size), "seed": seed, **view}
    if _manifest(root) == manifest:
        return root
    if root.exists() and _manifest(root) is None and any(root.iterdir()):
        raise DataError(f"{root} exists and was not generated by mxnetseg", "a new folder", "give data.root=FOLDER")
    root.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        _write_splits(work, {"train": train, "val": val}, (seed, size, View(**view)), progress)
        (work / _MANIFEST).write_text(json.dumps(manifest) + "\n", encoding="utf-8")
        work.chmod(0o755)
        _put_in_place(work, root, manifest)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return root


def _put_in_place(work: Path, root: Path, manifest: dict) -> None:
    """Rename `work` to `root`, unless another process has made the same meanwhile, which may be in use."""
    if _manifest(root) == manifest:
        return
    if root.exists():
        shutil.rmtree(root)
    try:
        os.replace(work, root)
    except OSError:
        if _manifest(root) != manifest:
            raise


def _manifest(root: Path) -> dict | None:
    try:
        return json.loads((root / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write_splits(work: Path, counts: dict[str, int], look: tuple[int, tuple[int, int], View], progress: bool) -> None:
    seed, size, view = look
    jobs = [(split, number) for split, count in counts.items() for number in range(count)]
    for place, (split, number) in enumerate(
        tqdm(jobs, "generating Synthetic", unit="img", disable=not progress or None)
    ):
        image, label = render(seed, place, size, view)
        town = f"{split}town"
        for kind, array, form in (("leftImg8bit", image[..., ::-1], ""), ("gtFine", label, "_labelTrainIds")):
            folder = work / kind / split / town
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{town}_{number:06d}_000000_{kind}{form}.png"
            cv2.imwrite(str(path), array, [cv2.IMWRITE_PNG_COMPRESSION, 1])
