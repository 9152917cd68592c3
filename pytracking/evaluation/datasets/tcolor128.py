"""Temple Color 128 (Liang, Blasch and Ling, TIP 2015), TPL for PyTracking: 129 targets, 44 of which OTB-100 has too.

::

    Bee_ce/img/0001.jpg ...
    Bee_ce/Bee_ce_gt.txt        x,y,w,h on a line for each frame
    Bee_ce/Bee_ce_frames.txt    1,90: the first and the last frame

The folders may begin with tpl_, as the sequences' names do. Pixels count from 1: its sequences of OTB carry OTB's
annotation.
"""

import os
from functools import partial
from pathlib import Path

from ltr.common.environment import get_path
from ltr.common.errors import DatasetError
from pytracking.evaluation.datasets.base import SequenceList, TrackingSequence, read_all
from pytracking.evaluation.datasets.files import every_frame, read_boxes, read_flags, read_images, subfolders

TPL_ORIGIN = 1.0
TPL_SIZE = 129
"""Targets of the whole benchmark; the name counts Jogging's two as one."""
TPL_OF_OTB = (
    "Skating2 Lemming Board Soccer Liquor Couple Walking David Tiger2 Bird Crossing MountainBike Diving CarDark "
    "Shaking Ironman FaceOcc1 Tiger1 Skiing Walking2 Girl Girlmov Subway David3 Woman Gym Matrix Doll Singer2 "
    "Basketball MotorRolling CarScale Football1 Singer1 Skating1 Biker Boy Jogging1 Deer Panda Coke Trellis Jogging2 "
    "Bolt"
).split()
"""The sequences that OTB-100 has too."""
#: Number of the first frame, where it is not 1 and no _frames.txt says it.
TPL_FIRST_FRAME = {"David": 300, "Busstation_ce2": 6, "Hurdle_ce2": 27}
LOOKED_FOR = "expected NAME/ with img/0001.jpg, ..., NAME_gt.txt and NAME_frames.txt"


def read_tpl(root: str | os.PathLike | None) -> SequenceList:
    """The sequences of Temple Color 128 under ``root``."""
    return _read("TColor-128", root, ())


def read_tpl_nootb(root: str | os.PathLike | None) -> SequenceList:
    """Those that OTB-100 does not have."""
    return _read("TColor-128 without OTB", root, TPL_OF_OTB)


def find_annotation(folder: Path) -> Path | None:
    """The annotation of a sequence's folder."""
    files = sorted(path for path in folder.glob("*_gt.txt") if path.name[0] != ".")
    return files[0] if files else None


def _read(title: str, given: str | os.PathLike | None, left_out: tuple[str, ...] | list[str]) -> SequenceList:
    root = get_path("tpl", given)
    readers = {}
    for folder in subfolders(root):
        base, file = folder.name.removeprefix("tpl_"), find_annotation(folder)
        if file is not None and base not in left_out:
            readers[f"tpl_{base}"] = partial(_read_sequence, f"tpl_{base}", folder, file)
    return read_all(title, root, readers, expected=TPL_SIZE - len(left_out), looked_for=LOOKED_FOR)


def _read_sequence(name: str, folder: Path, annotation: Path) -> TrackingSequence:
    boxes = read_boxes(annotation)
    first = TPL_FIRST_FRAME.get(name.removeprefix("tpl_"), 1)
    file = annotation.with_name(annotation.name.replace("_gt.txt", "_frames.txt"))
    frames = read_flags(file, 2)
    if frames is not None:
        first, last = map(int, frames)
        if last - first + 1 != len(boxes):
            raise DatasetError(
                f"sequence {name}: {annotation} has {len(boxes)} lines, but {file.name} names the frames {first} to "
                f"{last}; copy the sequence again"
            )
    images = read_images(folder / "img", name)
    return TrackingSequence(name, every_frame(images, first, len(boxes), name), boxes, "tpl", TPL_ORIGIN)
