"""A segmented picture as files and as the part of the page that shows them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import cv2
import numpy as np

from ..visual import areas, colorize, overlay, with_legend, write_image
from .worker import Segmented

__all__ = ["EMPTY", "Files", "viewer", "write_files"]

SHOWN = 1600  # longest side of what the page shows, in pixels; downloads have the picture's size
EMPTY = '<p class="empty">The result will be here.</p>'


@dataclass(frozen=True)
class Files:
    """Files of a result, in a folder whose name cannot be guessed.

    Attributes
    ----------
    photo, classes : Path
        For the page: the picture, and its classes as red + 256 green, both at most 1600 pixels long.
    mask, colors, overlay : Path
        To download: class indices, their colours, and colours over the picture with a legend.
    """

    photo: Path
    classes: Path
    mask: Path
    colors: Path
    overlay: Path


def write_files(folder: Path, name: str, result: Segmented) -> Files:
    """Write a result.

    Parameters
    ----------
    folder : Path
        Folder of the uploads; the result gets a folder of its own in it.
    name : str
        Stem of the names of the downloads.
    result : Segmented
    """
    own = folder / f"result-{secrets.token_hex(16)}"
    files = Files(
        own / "photo.jpg",
        own / "classes.png",
        *(own / f"{name}_{kind}.png" for kind in ("mask", "colors", "overlay")),
    )
    blended = overlay(result.image, result.labels, result.palette)
    write_image(files.mask, result.labels)
    write_image(files.colors, colorize(result.labels, result.palette))
    write_image(files.overlay, with_legend(blended, result.labels, result.classes, result.palette))
    write_image(files.photo, _shown(result.image, cv2.INTER_AREA))
    labels = _shown(result.labels, cv2.INTER_NEAREST_EXACT).astype(np.uint16)
    write_image(files.classes, np.dstack([labels & 255, labels >> 8, 0 * labels]).astype(np.uint8))
    return files


def _shown(picture: np.ndarray, interpolation: int) -> np.ndarray:
    height, width = picture.shape[:2]
    factor = min(1.0, SHOWN / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return picture if factor == 1 else cv2.resize(picture, size, interpolation=interpolation)


def viewer(files: Files, result: Segmented, seconds: float) -> str:
    """HTML of the result: the picture under its classes, slider, class under the pointer, legend.

    Parameters
    ----------
    files : Files
        Where the pictures are.
    result : Segmented
    seconds : float
        Time that it took.
    """
    height, width = result.labels.shape
    facts = {"classes": result.classes, "palette": result.palette.tolist(), "size": [width, height]}
    parts = "in one piece" if result.windows == 1 else f"in {result.windows} windows"
    return f"""\
<div class="viewer" data-facts="{escape(json.dumps(facts))}">
<div class="stage" style="--ratio:{width / height:.4f}" tabindex="0" role="application"
 aria-roledescription="segmented picture"
 aria-label="Segmented picture. Arrow keys move the point whose class is told below.">
<img class="photo" alt="the picture" src="{_url(files.photo)}"><canvas class="classes" aria-hidden="true"></canvas>
<img class="index" alt="" hidden src="{_url(files.classes)}"><i class="probe" hidden></i>
</div>
<p class="readout" role="status" aria-live="polite">Point at the picture to see the class of a pixel.</p>
<label class="opacity">Opacity of the classes
<input type="range" class="slider" min="0" max="100" value="50" aria-label="Opacity of the classes in percent">
<output>50 %</output></label>
<table class="legend"><caption>Share of the area</caption>
<thead><tr><th scope="col">class</th><th scope="col">share</th></tr></thead>
<tbody>{_legend(result.classes, result.palette, areas(result.labels, len(result.classes)))}</tbody></table>
<p class="facts">{width} x {height} pixels, {parts}, {seconds:.1f} s</p>
</div>"""


def _url(path: Path) -> str:
    return f"gradio_api/file={escape(str(path))}"


def _legend(classes: Sequence[str], palette: np.ndarray, shares: np.ndarray) -> str:
    present = [i for i in np.argsort(-shares, kind="stable") if shares[i] > 0]
    return "".join(
        f'<tr><th scope="row"><i class="swatch" style="background:rgb{tuple(map(int, palette[i]))}"></i>'
        f"{escape(classes[i])}</th><td>{100 * shares[i]:.1f} %</td></tr>"
        for i in present
    )
