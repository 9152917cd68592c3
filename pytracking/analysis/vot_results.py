"""Reads a tracker's regions from a file of VOT's toolkits: one region or one code for each frame.

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

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltr.common.errors import UserError
from ltr.common.files import check_regular, read_bytes
from pytracking.evaluation.datasets.vot import mask_box, polygon_box, region_box

STARTED = 1
_CODES = (0, STARTED, 2)
_LARGEST = 1_000_000  # frames


@dataclass(frozen=True)
class Regions:
    """A tracker's regions.

    Attributes:
        boxes: (N, 4), of a polygon or mask the rectangle around it; zeros where there is none.
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
    """Read such a file.

    Raises:
        UserError: if a line is neither a code nor a region, or a binary file is damaged; the message says which.
    """
    try:
        content = read_bytes(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    found = list(_binary_regions(path, content) if path.suffix.lower() == ".bin" else _text_regions(path, content))
    if not found:
        raise UserError(f"{path} is empty")
    codes = np.array([each if isinstance(each, int) else -1 for each in found])
    boxes = np.array([np.zeros(4) if isinstance(each, int) else each for each in found], np.float64)
    boxes[np.isnan(boxes).any(axis=1)] = 0
    return Regions(boxes, codes)


def _text_regions(path: Path, content: bytes) -> Iterator[int | np.ndarray]:
    for number, line in enumerate(content.decode("utf-8-sig", errors="replace").rstrip().splitlines(), start=1):
        code = _code(line.strip())
        try:
            box = np.zeros(4) if code is not None else region_box(line.strip(" ,\t"))
            fits = code is not None or ("," in line and not np.isinf(box).any())
        except (ValueError, OverflowError):
            fits = False
        if not fits:
            raise UserError(
                f"{path}, line {number}: expected a code (0, 1 or 2), a rectangle, a polygon or a mask, found "
                f"'{line.strip()[:60]}'"
            )
        yield box if code is None else code


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
                yield polygon_box(np.array(take(f"{2 * take('H')[0]}f")))
            elif kind == 3:
                *window, runs = take("hhHHH")
                yield mask_box([*window, *take(f"{runs}H")])
            else:
                raise ValueError
    except (struct.error, ValueError):
        raise UserError(f"{path} is damaged at byte {position}, or no file of VOT's toolkit") from None


def _code(line: str) -> int | None:
    try:
        value = float(line)
    except ValueError:
        return None
    return int(value) if value in _CODES else None
