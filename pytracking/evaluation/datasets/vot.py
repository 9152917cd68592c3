"""A VOT challenge (VOT 2013 to VOT 2022), as the VOT toolkit's workspace holds it, or as its folder of sequences.

::

    sequences/list.txt                  the names of the sequences
    sequences/ants1/color/00000001.jpg ...
    sequences/ants1/groundtruth.txt     a region on each line

A region is x,y,w,h, a polygon of at least three corners x1,y1,x2,y2,..., or a mask m x,y,w,h,<run lengths>. Polygons
and masks become the smallest upright box that holds them, as in PyTracking and in the toolkit where a tracker asks for
rectangles. (Others take a smaller box, of the polygon's area.) Pixels count from 0, as the toolkit gives them.

One pass over whole sequences is run and scored here, as for the other benchmarks. VOT's own measures need its toolkit.
"""

import os
import re
from functools import partial
from pathlib import Path

import numpy as np

from ltr.common.environment import get_path
from ltr.common.errors import DatasetError
from ltr.common.files import read_text
from pytracking.evaluation.datasets.base import SequenceList, TrackingSequence, read_all
from pytracking.evaluation.datasets.files import every_frame, may_exist, read_images, read_names, subfolders

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
    boxes = read_regions(folder / _TRUTH)
    frames = every_frame(read_images(folder / "color", name), 1, len(boxes), name)
    return TrackingSequence(name, frames, boxes, "vot", VOT_ORIGIN)


def read_regions(file: Path) -> np.ndarray:
    """(N, 4) float64: the upright boxes of the regions in a VOT annotation, NaN where there is none.

    Raises:
        DatasetError: if the file cannot be read or is empty, a line is no region, or the first has no area; names file
            and line.
    """
    try:
        lines = read_text(file, "replace").rstrip().splitlines()
    except OSError as error:
        raise DatasetError(f"the annotation file {file} cannot be read: {error.strerror}") from error
    if not lines:
        raise DatasetError(f"the annotation file {file} is empty")
    boxes = np.full((len(lines), 4), np.nan)
    for i, line in enumerate(lines):
        try:
            boxes[i] = region_box(line.strip())
        except (ValueError, OverflowError):
            raise DatasetError(
                f"{file}, line {i + 1}: expected x,y,w,h, a polygon or a mask, found '{line.strip()[:60]}'"
            ) from None
    if not np.isfinite(boxes[0]).all() or (boxes[0, 2:] <= 0).any():
        raise DatasetError(f"{file}, line 1: the first region has no area; begin where the target is visible")
    return boxes


def region_box(line: str) -> np.ndarray:
    """(4,) the box of one line; ValueError if it is no region."""
    if line.startswith("m"):
        return mask_box([int(value) for value in re.split(r"[,\s]+", line[1:].strip())])
    values = np.array([float(value) for value in re.split(r"[,;\s]+", line)]) if line else np.full(1, np.nan)
    if len(values) == 1:  # a code of the toolkit's: no region
        return np.full(4, np.nan)
    if len(values) == 4:
        return values
    if len(values) < 6 or len(values) % 2:
        raise ValueError
    return polygon_box(values)


def polygon_box(values: np.ndarray) -> np.ndarray:
    """(4,) the box of a polygon x1, y1, x2, y2, ..."""
    corners = np.asarray(values, np.float64).reshape(-1, 2)
    return np.concatenate([corners.min(axis=0), np.ptp(corners, axis=0)])


def mask_box(values: list[int]) -> np.ndarray:
    """(4,) the box of a mask: left, top, width and height of its window, then the lengths of runs without and with it,
    row by row. NaN if it is empty; ValueError if it is no mask."""
    x, y, width, height, *runs = values
    if width < 0 or height < 0 or min(runs, default=0) < 0 or sum(runs) > width * height:
        raise ValueError
    if width * height > 2**28:
        raise ValueError  # no image is that large
    inside = np.zeros(len(runs), bool)
    inside[1::2] = True
    flat = np.zeros(width * height, bool)
    flat[: sum(runs)] = np.repeat(inside, runs)
    rows, columns = np.nonzero(flat.reshape(height, width))
    if not len(rows):
        return np.full(4, np.nan)
    return np.array([x + columns.min(), y + rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1], np.float64)
