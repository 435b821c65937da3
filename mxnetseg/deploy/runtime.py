"""Segmentation by an exported ONNX file, with nothing but NumPy, OpenCV and ONNX Runtime.

This file stands alone: copy it beside the ``.onnx`` file, and

    python runtime.py network.onnx picture.jpg labels.png

writes the label map in the palette of the classes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

__all__ = ["OnnxSegmenter"]


class OnnxSegmenter:
    """A network written by ``mxnetseg export --format onnx``.

    Parameters
    ----------
    path : path
        The file.
    threads : int
        Threads of ONNX Runtime; 0 leaves the choice to it.

    Attributes
    ----------
    meta : dict
        What the file says of itself: ``classes``, ``palette``, ``mean``, ``std``, ``model``, ``checkpoint`` and more.
    classes : list of str
        Names of the classes; empty if the file has none.
    size : (int, int) or None
        Height and width, if they are fixed: images are resized to them, and results back.

    Raises
    ------
    ValueError
        If the file is missing, or is not one of these.
    """

    def __init__(self, path: str | Path, threads: int = 0):
        if not Path(path).is_file():
            raise ValueError(f"no file {path}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no common class
            raise ValueError(f"{path} is not an ONNX file that ONNX Runtime takes: {error}") from error
        entries = self._session.get_modelmeta().custom_metadata_map
        if not {"raw", "output", "mean", "std"} <= set(entries):
            raise ValueError(f"{path} was not written by `mxnetseg export`: it does not say what goes in")
        self.meta: dict[str, Any] = {key: json.loads(value) for key, value in entries.items()}
        self.classes: list[str] = self.meta.get("classes") or []
        self._input = self._session.get_inputs()[0]
        sides = self._input.shape[1:3] if self.meta["raw"] else self._input.shape[2:]
        self.size = tuple(sides) if all(isinstance(side, int) for side in sides) else None

    def scores(self, image: np.ndarray) -> np.ndarray:
        """Logits or probabilities, whichever the file gives.

        Parameters
        ----------
        image : ndarray of uint8, (H, W, 3)
            RGB.

        Returns
        -------
        ndarray of float32, (K, H, W)

        Raises
        ------
        ValueError
            If the array is not an image, or the file gives labels only.
        """
        if self.meta["output"] == "labels":
            raise ValueError("this file gives labels only; export it with --output logits or probabilities")
        scores = self._run(image)
        height, width = image.shape[:2]
        if scores.shape[1:] == (height, width):
            return scores
        return np.stack([cv2.resize(s, (width, height), interpolation=cv2.INTER_LINEAR) for s in scores])

    def labels(self, image: np.ndarray) -> np.ndarray:
        """Most probable class per pixel, uint8 (uint16 beyond 256 classes) (H, W); argument as for `scores`."""
        if self.meta["output"] != "labels":
            scores = self.scores(image)
            return scores.argmax(axis=0).astype(np.uint8 if len(scores) <= 256 else np.uint16)
        labels, (height, width) = self._run(image), image.shape[:2]
        return cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)

    def paint(self, labels: np.ndarray) -> np.ndarray:
        """Labels (H, W) in the colours of the palette, RGB, uint8 (H, W, 3); shades of grey without a palette."""
        palette = np.array(self.meta.get("palette") or np.repeat(np.arange(256)[:, None], 3, axis=1), np.uint8)
        return palette[labels]

    def run(self, window: np.ndarray) -> np.ndarray:
        """The file's own output, without the batch's axis, for its own input: uint8 (h, w, 3) or float32 (3, h, w)."""
        return self._session.run(None, {self._input.name: np.ascontiguousarray(window[None])})[0][0]

    def _run(self, image: np.ndarray) -> np.ndarray:
        """Result for one image of any size."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ValueError(f"array of shape {image.shape} and type {image.dtype}; expected uint8 (H, W, 3), RGB")
        if self.size and image.shape[:2] != self.size:
            image = cv2.resize(image, self.size[::-1], interpolation=cv2.INTER_LINEAR)
        return self.run(image if self.meta["raw"] else self._normalised(image))

    def _normalised(self, image: np.ndarray) -> np.ndarray:
        mean, std = (np.array(self.meta[key], np.float64) for key in ("mean", "std"))
        normal = image * (1 / (255 * std)).astype(np.float32) + (-mean / std).astype(np.float32)
        return normal.transpose(2, 0, 1)


def main() -> int:
    """Label one picture."""
    if len(sys.argv) != 4:
        print("usage: python runtime.py NETWORK.onnx PICTURE OUT.png", file=sys.stderr)
        return 2
    network, source, target = sys.argv[1:]
    picture = cv2.imread(source, cv2.IMREAD_COLOR)
    try:
        if picture is None:
            raise ValueError(f"{source} is not a picture that OpenCV reads")
        segmenter = OnnxSegmenter(network)
        labels = segmenter.labels(np.ascontiguousarray(picture[..., ::-1]))
        if not cv2.imwrite(target, segmenter.paint(labels)[..., ::-1]):
            raise ValueError(f"cannot write {target}")
    except (ValueError, cv2.error) as error:
        print(error, file=sys.stderr)
        return 2
    for label in np.unique(labels):
        name = segmenter.classes[label] if label < len(segmenter.classes) else label
        print(f"{(labels == label).mean():7.2%}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
