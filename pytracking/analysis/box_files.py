"""Reads box files: trackers' boxes and times, and annotations that come without images.

A box file is {sequence}.txt with x y w h on each line; {sequence}_time.txt beside it has the seconds of each frame.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ltr.common.errors import UserError
from ltr.common.files import check_regular, read_text
from pytracking.analysis.sequence_names import names_elsewhere
from pytracking.evaluation.datasets import otb_attributes
from pytracking.evaluation.datasets.base import plain_name

_NOT_BOXES = ("_time", "_frames", "_object_presence_scores")
_COUNT = {1: "one number", 4: "four numbers (x, y, w, h)"}


# -- boxes and times ---------------------------------------------------------------------------------------------


def read_boxes(path: Path, not_found: float = 0.0) -> np.ndarray:
    """The predicted boxes of one sequence, (N, 4).

    Besides x, y, w, h a line may have the number of the frame in front and a score in [0, 1] at the end; both are left
    out. A line of four NaN or of four -1 says that the target was not found.

    Args:
        path: the file.
        not_found: what the four numbers of such a line become: 0, or NaN.

    Raises:
        UserError: if a line has a NaN, an infinity, a negative size, or other columns; the message names file and line.
    """
    width = _count_columns(path)
    if width in (5, 6):
        rows = _read_numbers(path, width, allow_nan=True)
        numbered = len(rows) > 1 and rows[0, 0] in (0, 1) and bool((np.diff(rows[:, 0]) == 1).all())
        scored = bool(((rows[:, -1] >= 0) & (rows[:, -1] <= 1)).all())
        if numbered + scored != width - 4:  # neither, or one that could be either
            return _read_numbers(path, 4)
        boxes = rows[:, 1:5] if numbered else rows[:, :4]
    else:
        boxes = _read_numbers(path, 4, allow_nan=True)
    lost = np.isnan(boxes).all(axis=1) | (boxes == -1).all(axis=1)
    boxes[lost] = not_found
    unknown = np.flatnonzero(np.isnan(boxes).any(axis=1) & ~lost)
    if len(unknown):
        raise UserError(f"{path}, line {unknown[0] + 1}: NaN beside numbers: {boxes[unknown[0]].tolist()}")
    negative = np.flatnonzero((boxes[:, 2:] < 0).any(axis=1))
    if len(negative):
        i = negative[0]
        raise UserError(f"{path}, line {i + 1}: negative width or height: {boxes[i, 2]:g} x {boxes[i, 3]:g}")
    return boxes


def _count_columns(path: Path) -> int:
    """The number of columns in the first line of a file; 0 if it cannot be read."""
    try:
        check_regular(path)
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            return len(_fields(file.readline()))
    except OSError:
        return 0


def _fields(line: str) -> list[str]:
    return [field for field in re.split(r"\s*[,;]\s*|\s+", line.strip()) if field]


def read_times(path: Path, column: int = 0) -> np.ndarray:
    """Seconds per frame of one sequence, (N,), without the frames that have none.

    Args:
        path: the file.
        column: which one, where a file has those of several repetitions.

    Raises:
        UserError: if a line is no numbers or has no such column; the message names file and line.
    """
    columns = _count_columns(path)
    if column >= columns > 0:
        raise UserError(f"{path} has {columns} columns, and none of repetition {column + 1}")
    times = _read_numbers(path, max(columns, 1), allow_nan=True)[:, column]
    return times[~np.isnan(times)]


def _read_numbers(path: Path, columns: int, allow_nan: bool = False) -> np.ndarray:
    """Read a text table of `columns` numbers a line, separated by commas, semicolons, tabs or blanks: (N, columns).

    Empty lines are allowed at the end only: one in the middle would shift every later frame.
    """
    try:
        text = read_text(path, "replace")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    lines = text.rstrip().splitlines()
    if not lines:
        raise UserError(f"{path} is empty; delete it and run that sequence again")
    rows = np.empty((len(lines), columns))
    expected = _COUNT.get(columns, f"{columns} numbers")
    for i, line in enumerate(lines):
        fields = _fields(line)
        if len(fields) != columns:
            raise UserError(
                f"{path}, line {i + 1}: expected {expected}, found {len(fields)} values in '{line.strip()[:60]}'"
            )
        try:
            rows[i] = [float(field) for field in fields]
        except ValueError:
            raise UserError(f"{path}, line {i + 1}: expected {expected}, found '{line.strip()[:60]}'") from None
        if np.isinf(rows[i]).any() or (np.isnan(rows[i]).any() and not allow_nan):
            raise UserError(f"{path}, line {i + 1}: NaN or infinite number in '{line.strip()[:60]}'")
    return rows


# -- ground truth ------------------------------------------------------------------------------------------------


class GroundTruth(Protocol):
    """What scoring needs of a sequence. `pytracking.evaluation.TrackingSequence` and :class:`Annotation` have it.

    Attributes:
        name: of the sequence.
        ground_truth: (N, 4), coordinates as annotated.
        attributes: what is hard about it, such as OCC.
        visible, scoring, image_size, scored_by: see `TrackingSequence`.
    """

    @property
    def name(self) -> str: ...

    @property
    def ground_truth(self) -> np.ndarray: ...

    @property
    def attributes(self) -> tuple[str, ...]: ...

    @property
    def visible(self) -> np.ndarray | None: ...

    @property
    def scoring(self) -> str: ...

    @property
    def image_size(self) -> tuple[int, int] | None: ...

    @property
    def scored_by(self) -> str: ...


@dataclass(frozen=True)
class Annotation:
    """The ground truth (N, 4) of one target without images, see :class:`GroundTruth`."""

    name: str
    ground_truth: np.ndarray
    attributes: tuple[str, ...] = ()
    visible: np.ndarray | None = None
    scoring: str = "otb"
    image_size: tuple[int, int] | None = None
    scored_by: str = ""


def read_annotations(folder: Path) -> list[Annotation]:
    """Read all {sequence}.txt of a folder as ground truth, sorted by name; OTB-100's have its attributes.

    A line of NaN means that the target is absent.

    Raises:
        UserError: if there is no such file, or one cannot be understood.
    """
    files = _box_files(folder)
    if not files:
        raise UserError(f"{folder} holds no annotation file (*.txt)")
    annotations = []
    for path in files:
        boxes = _read_numbers(path, 4, allow_nan=True)
        annotations.append(Annotation(path.stem, boxes, otb_attributes(path.stem, len(boxes))))
    return annotations


# -- the files of a folder ---------------------------------------------------------------------------------------


def match_files(folder: Path, sequences: Sequence[str], *, own: bool = False) -> dict[str, Path]:
    """Box file in `folder` by sequence name, for those that have one: under the same name, else another spelling, else
    the name that another tool has for it.

    Args:
        folder: of the files.
        sequences: names.
        own: the files were written here (or by PyTracking): only separators may differ. OTB's Car2 is not UAV123's
            uav_car2, which others call car2.

    Raises:
        UserError: if two files spell the same sequence, or `folder` is none.
    """
    key = plain_name if own else sequence_key
    exact = {path.stem: path for path in _box_files(folder)}
    spelled: dict[str, list[Path]] = {}
    for path in exact.values():
        spelled.setdefault(key(path.stem), []).append(path)
    matched = {}
    for name in sequences:
        candidates = [exact[name]] if name in exact else spelled.get(key(name), [])
        for other in [] if own else names_elsewhere(name):
            if not candidates and other not in sequences:
                candidates = spelled.get(key(other), [])
        if len(candidates) > 1:
            raise UserError(
                f"{folder}: {' and '.join(p.name for p in candidates)} could both be {name}; remove or rename one"
            )
        if candidates:
            matched[name] = candidates[0]
    return matched


def sequence_key(name: str) -> str:
    """One key for all spellings of a sequence's name: toolkits write Jogging-1, Jogging_1 or jogging.1, and macOS an
    accented letter as two."""
    return re.sub(r"[-_. ]+", "-", unicodedata.normalize("NFC", name)).casefold()


def _box_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    files = [path for path in folder.iterdir() if path.suffix.lower() == ".txt" and path.name[0] != "."]
    return sorted(path for path in files if not path.stem.endswith(_NOT_BOXES) and path.is_file())
