"""LaSOT's testing set (Fan et al., CVPR 2019; protocol II), and the subset of its extension (IJCV 2021).

::

    airplane/airplane-1/img/00000001.jpg ...
    airplane/airplane-1/groundtruth.txt     x,y,w,h on a line for each image
    airplane/airplane-1/full_occlusion.txt  0,0,1,... one line: the target is fully covered
    airplane/airplane-1/out_of_view.txt     0,0,1,... one line: the target is outside the image

The folders of the categories may be left out. Pixels count from 1 in LaSOT, whose boxes never start at 0. Those of the
extension do, in some sixty of its sequences: there they count from 0.
"""

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from ltr.common.environment import get_path
from ltr.common.errors import DatasetError
from pytracking.evaluation.datasets.base import SequenceList, TrackingSequence, read_all
from pytracking.evaluation.datasets.files import every_frame, may_exist, read_boxes, read_flags, read_images

LASOT_ORIGIN = 1.0
"""Pixel coordinates of LaSOT's annotation start at 1; its author says so too (LaSOT_Evaluation_Toolkit, issue 14)."""
EXTENSION_ORIGIN = 0.0
"""The extension's has boxes that start at 0."""

#: The numbers of the testing set's four sequences of each category.
_TESTING = (
    "airplane 1 9 13 15; basketball 1 6 7 11; bear 2 4 6 17; bicycle 2 7 9 18; bird 2 3 15 17; boat 3 4 12 17; "
    "book 3 10 11 19; bottle 1 12 14 18; bus 2 5 17 19; car 2 6 9 17; cat 1 3 18 20; cattle 2 7 12 13; "
    "chameleon 3 6 11 20; coin 3 6 7 18; crab 3 6 12 18; crocodile 3 4 10 14; cup 1 4 7 17; deer 4 8 10 14; "
    "dog 1 7 15 19; drone 2 7 13 15; electricfan 1 10 18 20; elephant 1 12 16 18; flag 2 3 5 9; fox 2 3 5 20; "
    "frog 3 4 9 20; gametarget 1 2 7 13; gecko 1 5 16 19; giraffe 2 10 13 15; goldfish 3 7 8 10; gorilla 4 6 9 13; "
    "guitar 3 8 10 16; hand 2 3 9 16; hat 1 2 5 18; helmet 5 11 13 19; hippo 1 7 9 20; horse 1 4 12 15; "
    "kangaroo 2 5 11 14; kite 4 6 10 15; leopard 1 7 16 20; licenseplate 6 12 13 15; lion 1 5 12 20; lizard 1 3 6 13; "
    "microphone 2 6 14 16; monkey 3 4 9 17; motorcycle 1 3 9 18; mouse 1 8 9 17; person 1 5 10 12; pig 2 10 13 18; "
    "pool 3 7 12 15; rabbit 10 13 17 19; racing 10 15 16 20; robot 1 5 8 19; rubicCube 1 6 14 19; sepia 6 8 13 16; "
    "shark 2 3 5 6; sheep 3 5 7 9; skateboard 3 8 16 19; spider 14 16 18 20; squirrel 8 11 13 19; "
    "surfboard 4 5 8 12; swing 10 14 17 20; tank 6 9 14 16; tiger 4 6 12 18; train 1 7 11 20; truck 3 6 7 16; "
    "turtle 5 8 9 16; umbrella 2 9 17 19; volleyball 1 13 18 19; yoyo 7 15 17 19; zebra 10 14 16 17"
)
_EXTENSION = (
    "atv badminton cosplay dancingshoe footbag frisbee jianzi lantern misc opossum paddle raccoon rhino skatingshoe "
    "wingsuit"
)

LASOT_TESTING = tuple(
    f"{category}-{number}" for category, *numbers in map(str.split, _TESTING.split("; ")) for number in numbers
)
"""The 280 sequences of the testing set."""
LASOT_EXTENSION = tuple(f"{category}-{number}" for category in _EXTENSION.split() for number in range(1, 11))
"""The 150 sequences of the extension: ten of each of fifteen categories that LaSOT does not have."""
LOOKED_FOR = "expected category/category-1/ with img/00000001.jpg, ..., groundtruth.txt, full_occlusion.txt, ..."


def read_lasot(root: str | os.PathLike | None) -> SequenceList:
    """The sequences of LaSOT's testing set under ``root``."""
    return _read("LaSOT", "lasot", get_path("lasot", root), LASOT_TESTING, LASOT_ORIGIN)


def read_lasot_extension_subset(root: str | os.PathLike | None) -> SequenceList:
    """The sequences of LaSOT's extension under ``root``."""
    name = "lasot_extension_subset"
    return _read("LaSOT extension", name, get_path(name, root), LASOT_EXTENSION, EXTENSION_ORIGIN)


def _read(title: str, dataset: str, root: Path, names: Iterable[str], origin: float) -> SequenceList:
    names = list(names)
    sequences: dict[str, Callable[[], TrackingSequence]] = {}
    for name in names:
        folders = (root / name.rsplit("-", 1)[0] / name, root / name)
        folder = next((folder for folder in folders if may_exist(folder)), None)
        if folder is not None:
            sequences[name] = partial(_read_sequence, name, folder, dataset, origin)
    return read_all(title, root, sequences, expected=len(names), looked_for=LOOKED_FOR)


def _read_sequence(name: str, folder: Path, dataset: str, origin: float) -> TrackingSequence:
    boxes = read_boxes(folder / "groundtruth.txt")
    # Some sequences are released with an image more than lines.
    frames = every_frame(read_images(folder / "img", name), 1, len(boxes), name)
    visible = read_lasot_visible(folder, len(boxes))
    if visible is None:
        raise DatasetError(f"sequence {name} has neither full_occlusion.txt nor out_of_view.txt in {folder}")
    return TrackingSequence(name, frames, boxes, dataset, origin, visible=visible, scoring=dataset)


def read_lasot_visible(folder: Path, count: int) -> np.ndarray | None:
    """(count,) bool: whether the target is neither fully occluded nor out of view; None without either file."""
    files = (folder / "full_occlusion.txt", folder / "out_of_view.txt")
    flags = [values for values in (read_flags(file, count) for file in files) if values is not None]
    return np.all([values == 0 for values in flags], axis=0) if flags else None
