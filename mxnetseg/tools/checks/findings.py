"""What a finding says, and the kinds there are."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "WARNINGS", "Finding"]

KINDS = {
    "split": "a split cannot be opened",
    "missing-file": "a listed file does not exist",
    "missing-mask": "an image has no mask",
    "missing-image": "a mask has no image",
    "name-clash": "two files have one name",
    "split-size": "a split has not its official length",
    "listed-twice": "a sample occurs twice in a split",
    "duplicate": "two images of a split have the same content",
    "leak": "an image of an evaluation split is trained on",
    "class-list": "names, colours or ids of the classes contradict each other",
    "damaged-image": "an image cannot be decoded",
    "damaged-mask": "a mask cannot be decoded",
    "same-file": "image and mask are the same picture",
    "swapped": "image and mask seem to have changed places",
    "size": "image and mask differ in size",
    "orientation": "an image is stored turned or mirrored",
    "image-mode": "an image is not 8-bit RGB or grey",
    "multi-frame": "a file holds several frames, of which the first is read",
    "blank-image": "an image has one colour only",
    "tiny-image": "an image is too small to be one",
    "colour-mask": "a mask holds colours instead of class ids",
    "lossy-mask": "a mask was compressed with loss",
    "palette-order": "the ids of a palette mask are not the classes that its colours mean",
    "label-range": "a mask holds values that are no class",
    "labels-from-1": "labels start at 1",
    "empty-mask": "a mask has no labelled pixel",
    "one-class": "all masks hold the same single class",
    "absent-class": "a class never occurs in the training split",
}
# Training runs in spite of these, but hardly as intended.
WARNINGS = frozenset(
    {
        "split-size",
        "duplicate",
        "orientation",
        "image-mode",
        "multi-frame",
        "blank-image",
        "tiny-image",
        "empty-mask",
        "absent-class",
    }
)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    file : str
        The file, list or folder.
    cause : str
        What was found in it, and the likely reason.
    remedy : str
        What to do.
    split : str
        Where; empty for what concerns the data set as a whole.
    """

    kind: str
    file: str
    cause: str
    remedy: str
    split: str = ""

    @property
    def level(self) -> str:
        """``error``, or ``warning`` where training would run all the same."""
        return "warning" if self.kind in WARNINGS else "error"
