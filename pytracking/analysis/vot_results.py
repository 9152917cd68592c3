"""Reads a tracker's regions from a file of VOT's toolkits: one region or one code a line.

A code is a single number: 1 where the tracker was started from the annotation, 2 where it had failed, 0 where it was
not run (after a failure, or because it was late). A region is x, y, w, h, or the corners of a polygon.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltr.common.errors import UserError

STARTED, FAILED = 1, 2
_CODES = (0, STARTED, FAILED)


@dataclass(frozen=True)
class Regions:
    """A tracker's regions.

    Attributes:
        boxes: (N, 4), of a polygon the rectangle around it; zeros where there is none.
        codes: (N,) int: the code of each line; -1 where it is a region.
    """

    boxes: np.ndarray
    codes: np.ndarray

    @property
    def restarts(self) -> int:
        """How often the tracker was started again after the first frame."""
        return int((self.codes[1:] == STARTED).sum())


def is_regions(path: Path) -> bool:
    """Whether a file begins with a code, as those of VOT do."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            return _code(file.readline().strip()) is not None
    except OSError:
        return False


def read_regions(path: Path) -> Regions:
    """Read such a file.

    Raises:
        UserError: if a line is neither a code, nor a rectangle, nor a polygon; the message names file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").rstrip().splitlines()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    boxes, codes = np.zeros((len(lines), 4)), np.full(len(lines), -1)
    for i, line in enumerate(lines):
        code = _code(line.strip())
        if code is not None:
            codes[i] = code
            continue
        if line.lstrip().startswith("m"):
            raise UserError(f"{path}, line {i + 1}: a mask; only rectangles and polygons are read")
        try:
            values = np.array([float(value) for value in re.split(r"[,\s]+", line.strip(" ,\t\r"))])
        except ValueError:
            values = np.empty(0)
        if not (len(values) == 4 or (len(values) >= 6 and len(values) % 2 == 0)) or np.isinf(values).any():
            raise UserError(
                f"{path}, line {i + 1}: expected a code (0, 1 or 2), a rectangle or a polygon, found "
                f"'{line.strip()[:60]}'"
            )
        boxes[i] = values if len(values) == 4 else around(values)
    boxes[np.isnan(boxes).any(axis=1)] = 0
    return Regions(boxes, codes)


def around(polygon: np.ndarray) -> np.ndarray:
    """The rectangle x, y, w, h around a polygon x1, y1, x2, y2, ..."""
    points = np.asarray(polygon, np.float64).reshape(-1, 2)
    low = points.min(axis=0)
    return np.concatenate([low, points.max(axis=0) - low])


def _code(line: str) -> int | None:
    try:
        value = float(line)
    except ValueError:
        return None
    return int(value) if value in _CODES else None
