"""PASCAL VOC 2012 and SBD in one folder, the masks of VOC over those of SBD."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ...data.files import list_entries
from ...data.images import read_mask
from .sbd import find_sbd, read_sbd_mask
from .workspace import Workspace

__all__ = ["prepare"]


def prepare(work: Workspace) -> None:
    """Write ``cls_aug``, ``img_aug`` and the four lists.

    Where both have a mask, that of VOC is taken: it is finer and has void borders. ``train_aug`` is SBD's
    images and VOC's ``train`` without VOC's ``val``.
    """
    work.folders += [p for p in (work.root.parent / "VOC2012", work.root.parent / "SBD") if p.is_dir()]
    voc = work.find("SegmentationClass", "folder of VOC 2012's masks").parent
    sbd = find_sbd(work)
    lists = {s: list_entries(voc / "ImageSets" / "Segmentation" / f"{s}.txt", work.remedy) for s in ("train", "val")}
    jobs = {p.stem: partial(read_sbd_mask, p) for p in sorted((sbd / "cls").glob("*.mat"))}
    own = {s for names in lists.values() for s in names}
    jobs |= {s: partial(read_mask, voc / "SegmentationClass" / f"{s}.png") for s in sorted(own)}
    work.convert("masks", ((f"cls_aug/{stem}.png", make) for stem, make in sorted(jobs.items())))
    work.place("images", ((_image(stem, voc, sbd), f"img_aug/{stem}.jpg") for stem in sorted(jobs)))
    lists["train_aug"] = sorted(jobs.keys() - set(lists["val"]))
    lists["trainval_aug"] = lists["train_aug"] + lists["val"]
    for split, stems in lists.items():
        work.write_list(f"{split}.txt", (f"{s}.jpg {s}.png" for s in stems))


def _image(stem: str, voc: Path, sbd: Path) -> Path:
    own = voc / "JPEGImages" / f"{stem}.jpg"
    return own if own.is_file() else sbd / "img" / f"{stem}.jpg"
