"""GOT-10k (Huang, Zhao and Huang, TPAMI 2021): its validation and its test set, 180 sequences each.

::

    val/list.txt                                the names of the sequences
    val/GOT-10k_Val_000001/00000001.jpg ...
    val/GOT-10k_Val_000001/groundtruth.txt      x,y,w,h on a line for each image; in test/ the first box alone
    val/GOT-10k_Val_000001/absence.label        1 on a line if the target is absent
    val/GOT-10k_Val_000001/cover.label          0 (nothing) to 8 (all): the visible part of the target
    val/GOT-10k_Val_000001/meta_info.ini        resolution: (1920, 1080), ...

Pixels count from 0: an author calls them 1-based (got-10k/toolkit, issue 6), but boxes of many sequences start at 0,
and the toolkit gives them to trackers and clips them to the image as they are.
"""

import os
import re
from functools import partial
from pathlib import Path

import numpy as np

from ltr.common.environment import get_path
from ltr.common.files import read_text
from pytracking.evaluation.datasets.base import SequenceList, TrackingSequence, read_all
from pytracking.evaluation.datasets.files import (
    extend_first_box,
    frame_of_each_line,
    may_exist,
    read_boxes,
    read_flags,
    read_images,
    read_names,
)

GOT10K_ORIGIN = 0.0
GOT10K_SIZE = 180
"""Sequences of either set."""
GOT10K_SERVER = "GOT-10k's server, http://got-10k.aitestunion.com"


def read_got10k_val(root: str | os.PathLike | None) -> SequenceList:
    """The sequences of GOT-10k's validation set under ``root``: the folder with val/, or val/ itself."""
    return _read("val", root)


def read_got10k_test(root: str | os.PathLike | None) -> SequenceList:
    """The sequences of GOT-10k's test set under ``root``: the folder with test/, or test/ itself."""
    return _read("test", root)


def _read(split: str, given: str | os.PathLike | None) -> SequenceList:
    root = get_path("got10k", given)
    folder = root / split if (root / split).is_dir() else root
    names = []
    if (folder / "list.txt").is_file():
        names = read_names(folder / "list.txt")
    elif folder.name == split:
        names = sorted(path.name for path in folder.iterdir() if path.name.startswith("GOT-10k_"))
    dataset = f"got10k_{split}"
    # A half-copied set has the whole list; a folder of another split has none of this one's.
    names = [name for name in names if may_exist(folder / name) and not _is_of_another_split(name, split)]
    return read_all(
        f"GOT-10k {split}",
        folder,
        {name: partial(_read_sequence, name, folder / name, dataset, split == "test") for name in names},
        expected=GOT10K_SIZE,
        looked_for=f"expected {split}/list.txt, and in {split}/GOT-10k_{split.title()}_000001/ the images and "
        "groundtruth.txt",
    )


def _is_of_another_split(name: str, split: str) -> bool:
    own = re.fullmatch(r"GOT-10k_(\w+)_\d+", name)
    return own is not None and own[1].lower() != split


def _read_sequence(name: str, folder: Path, dataset: str, first_box_alone: bool) -> TrackingSequence:
    annotation = folder / "groundtruth.txt"
    boxes, images = read_boxes(annotation), read_images(folder, name)
    alone = first_box_alone and len(boxes) == 1
    if alone:
        boxes = extend_first_box(boxes, max(images))
    frames = frame_of_each_line(images, 1, annotation, len(boxes), name)
    return TrackingSequence(
        name,
        frames,
        boxes,
        dataset,
        GOT10K_ORIGIN,
        visible=read_got10k_visible(folder, len(boxes)),
        scoring="got10k",
        image_size=read_resolution(folder),
        scored_by=GOT10K_SERVER if alone and len(boxes) > 1 else "",
    )


def read_got10k_visible(folder: Path, count: int) -> np.ndarray | None:
    """(count,) bool: whether any part of the target is visible, by cover.label, else by absence.label; None without
    either."""
    cover = read_flags(folder / "cover.label", count)
    if cover is not None:
        return cover > 0
    absence = read_flags(folder / "absence.label", count)
    return None if absence is None else absence == 0


def read_resolution(folder: Path) -> tuple[int, int] | None:
    """Width and height of the images in pixels, by meta_info.ini; None if it does not say."""
    try:
        text = read_text(folder / "meta_info.ini", "replace")
    except OSError:
        return None
    found = re.search(r"^resolution:\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)", text, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else None
