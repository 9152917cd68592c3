"""DTB70 (Li and Yeung, AAAI 2017): 70 sequences from a drone, in OTB's layout.

::

    Animal1/img/00001.jpg ...
    Animal1/groundtruth_rect.txt    x,y,w,h on a line for each image

Sequences are called dtb70_Animal1, since OTB-100 has a Car2 and a Car4, too. Pixels count from 1, as in OTB, whose
toolkit its authors use.
"""

import os
from functools import partial
from pathlib import Path

from ltr.common.environment import get_path
from pytracking.evaluation.datasets.base import SequenceList, TrackingSequence, read_all
from pytracking.evaluation.datasets.files import frame_of_each_line, may_exist, read_boxes, read_images, subfolders

DTB70_ORIGIN = 1.0
DTB70_SIZE = 70
"""Sequences of the whole benchmark."""


def read_dtb70(root: str | os.PathLike | None) -> SequenceList:
    """The sequences of DTB70 under ``root``."""
    root = get_path("dtb70", root)
    folders = [folder for folder in subfolders(root) if may_exist(folder / "groundtruth_rect.txt")]
    names = {f"dtb70_{folder.name}": folder for folder in folders}
    return read_all(
        "DTB70",
        root,
        {name: partial(_read_sequence, name, folder) for name, folder in names.items()},
        expected=DTB70_SIZE,
        looked_for="expected Animal1/img/00001.jpg, ... and Animal1/groundtruth_rect.txt, ...",
    )


def _read_sequence(name: str, folder: Path) -> TrackingSequence:
    annotation = folder / "groundtruth_rect.txt"
    boxes, images = read_boxes(annotation), read_images(folder / "img", name)
    frames = frame_of_each_line(images, min(images), annotation, len(boxes), name)
    return TrackingSequence(name, frames, boxes, "dtb70", DTB70_ORIGIN)
