"""A VOT challenge (VOT 2013 to VOT 2022), as the VOT toolkit's workspace holds it, or as its folder of sequences.

::

    sequences/list.txt                  the names of the sequences
    sequences/ants1/color/00000001.jpg ...
    sequences/ants1/groundtruth.txt     a region on each line

Until VOT 2017 the images lay beside groundtruth.txt.

A region is x,y,w,h, a polygon of at least three corners x1,y1,x2,y2,..., or a mask m x,y,w,h,<run lengths>. Polygons
and masks become the smallest upright box that holds them, as in PyTracking and in the toolkit where a tracker asks for
rectangles. (Others take a smaller box, of the polygon's area.) Pixels count from 0, as the toolkit gives them.

One pass over whole sequences is run and scored here, as for the other benchmarks. VOT's own measures need its toolkit.
"""

import os
from functools import partial
from pathlib import Path

import numpy as np

from ltr.common.environment import get_path
from ltr.common.errors import DatasetError
from ltr.common.frame_order import find_images
from pytracking.evaluation.datasets.base import SequenceList, TrackingSequence, read_all
from pytracking.evaluation.datasets.files import every_frame, may_exist, read_images, read_names, subfolders
from pytracking.evaluation.datasets.vot_regions import read_regions

VOT_ORIGIN = 0.0
_TRUTH = "groundtruth.txt"
LOOKED_FOR = "expected sequences/NAME/ with color/00000001.jpg, ... and groundtruth.txt, and sequences/list.txt"


def read_vot(root: str | os.PathLike | None) -> SequenceList:
    """The sequences of a VOT workspace, or of a folder of VOT sequences, ``root``."""
    root = get_path("vot", root)
    folder = root / "sequences" if (root / "sequences").is_dir() else root
    listed = (folder / "list.txt").is_file()
    names = read_names(folder / "list.txt") if listed else [path.name for path in subfolders(folder)]
    present = [name for name in names if listed or (folder / name).is_symlink() or may_exist(folder / name / _TRUTH)]
    present = [name for name in present if may_exist(folder / name)]
    return read_all(
        "VOT",
        folder,
        {name: partial(_read_sequence, name, folder / name) for name in present},
        expected=len(names) if listed else None,
        looked_for=LOOKED_FOR,
    )


def _read_sequence(name: str, folder: Path) -> TrackingSequence:
    boxes = read_annotation(folder / _TRUTH)
    images = folder / "color" if may_exist(folder / "color") or not find_images(folder) else folder
    frames = every_frame(read_images(images, name), 1, len(boxes), name)
    return TrackingSequence(name, frames, boxes, "vot", VOT_ORIGIN)


def read_annotation(file: Path) -> np.ndarray:
    """(N, 4) float64: the upright boxes of the regions in a VOT annotation, NaN where there is none.

    Raises:
        DatasetError: if :func:`read_regions` does, or the first region has no area.
    """
    boxes = read_regions(file).boxes
    if not np.isfinite(boxes[0]).all() or (boxes[0, 2:] <= 0).any():
        raise DatasetError(f"{file}, line 1: the first region has no area; begin where the target is visible")
    return boxes
