"""Reads the regions in a file of VOT, an annotation or a tracker's: one region or one code for each frame.

A code is a single number: 1 where the tracker was started from the annotation, 2 where it had failed, 0 where it was
not run (after a failure, or because it was late). A region is x, y, w, h, a polygon or a mask, on a line of text or in
the toolkit's binary form:

::

    int16 version, uint32 number of regions; then for each of them, all little-endian,
    uint8 0, uint32 code                                                    a code
    uint8 1, 4 float32                                                      a rectangle
    uint8 2, uint16 n, 2 n float32                                          a polygon
    uint8 3, int16 x, int16 y, uint16 w, uint16 h, uint16 n, n uint16       a mask
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltr.common.errors import DatasetError
from ltr.common.files import check_regular, read_bytes

STARTED = 1
_CODES = (0, STARTED, 2)
_LARGEST = 1_000_000  # frames
_NONE = np.full(4, np.nan)


@dataclass(frozen=True)
class Regions:
    """The regions of a sequence.

    Attributes:
        boxes: (N, 4), of a polygon or mask the rectangle around it; NaN where there is none.
        codes: (N,) int: the code of each frame; -1 where it has a region.
    """

    boxes: np.ndarray
    codes: np.ndarray

    @property
    def restarts(self) -> int:
        """How often the tracker was started again after the first frame."""
        return int((self.codes[1:] == STARTED).sum())


def is_regions(path: Path) -> bool:
    """Whether a file is one of VOT: a binary one, or text that begins with a code."""
    if path.suffix.lower() == ".bin":
        return True
    try:
        check_regular(path)
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            return _code(file.readline().strip()) is not None
    except OSError:
        return False


def read_regions(path: Path) -> Regions:
    """Read such a file. An empty line, as one of NaN, is a frame without a region.

    Raises:
        DatasetError: if the file cannot be read, is empty or damaged, or a line is neither a code nor a region; names
            file and line.
    """
    try:
        content = read_bytes(path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
    found = list(_binary_regions(path, content) if path.suffix.lower() == ".bin" else _text_regions(path, content))
    if not found:
        raise DatasetError(f"{path} is empty")
    codes = np.array([each if isinstance(each, int) else -1 for each in found])
    boxes = np.array([_NONE if isinstance(each, int) else each for each in found], np.float64)
    boxes[np.isnan(boxes).any(axis=1)] = np.nan
    return Regions(boxes, codes)


def _text_regions(path: Path, content: bytes) -> Iterator[int | np.ndarray]:
    for number, line in enumerate(content.decode("utf-8-sig", errors="replace").rstrip().splitlines(), start=1):
        text = line.strip(" ,;\t")
        code = _code(text)
        try:
            yield _region_box(text) if code is None else code
        except (ValueError, OverflowError):
            raise DatasetError(
                f"{path}, line {number}: expected x,y,w,h, a polygon or a mask, or a code (0, 1 or 2), found "
                f"'{line.strip()[:60]}'"
            ) from None


def _binary_regions(path: Path, content: bytes) -> Iterator[int | np.ndarray]:
    position = 0

    def take(form: str) -> tuple:
        nonlocal position
        values = struct.unpack_from(f"<{form}", content, position)
        position += struct.calcsize(f"<{form}")
        return values

    try:
        version, count = take("hI")
        if version != 1 or count > _LARGEST:
            raise ValueError
        for _ in range(count):
            (kind,) = take("B")
            if kind == 0:
                yield take("I")[0]
            elif kind == 1:
                yield np.array(take("4f"))
            elif kind == 2:
                yield _polygon_box(np.array(take(f"{2 * take('H')[0]}f")))
            elif kind == 3:
                *window, runs = take("hhHHH")
                yield _mask_box([*window, *take(f"{runs}H")])
            else:
                raise ValueError
    except (struct.error, ValueError):
        raise DatasetError(f"{path} is damaged at byte {position}, or no file of VOT's toolkit") from None


def _code(line: str) -> int | None:
    try:
        value = float(line)
    except ValueError:
        return None
    return int(value) if value in _CODES else None


def _region_box(line: str) -> np.ndarray:
    """(4,) the box of one line; ValueError if it is no region."""
    if not line:
        return _NONE
    if line.startswith("m"):
        return _mask_box([int(value) for value in re.split(r"[,\s]+", line[1:].strip())])
    values = np.array([float(value) for value in re.split(r"[,;\s]+", line)])
    if np.isinf(values).any():
        raise ValueError
    if len(values) == 4:
        return values
    if len(values) < 6 or len(values) % 2:
        raise ValueError
    return _polygon_box(values)


def _polygon_box(values: np.ndarray) -> np.ndarray:
    """(4,) the box of a polygon x1, y1, x2, y2, ..."""
    corners = np.asarray(values, np.float64).reshape(-1, 2)
    return np.concatenate([corners.min(axis=0), np.ptp(corners, axis=0)])


def _mask_box(values: list[int]) -> np.ndarray:
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
        return _NONE
    return np.array([x + columns.min(), y + rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1], np.float64)
