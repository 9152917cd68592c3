"""Images labelled with vectors of numbers, such as an age or the angles of a head: data for regression.

Ages are in years. Angles are yaw, pitch and roll in degrees, with the same meaning in every data set here:

* yaw is positive if the face turns to the left side of the image (the person's own right),
* pitch is positive if it looks up,
* roll is positive if the head tilts clockwise in the image, its top to the image's right.

With x to the right, y down and z away from the camera, a head that faces the camera is rotated by
R = Rx(-pitch) Ry(yaw) Rz(roll). FSA-Net's files, Hopenet's reader of BIWI, and AFLW2000 have the same convention.
Mirroring an image negates yaw and roll.
"""

from __future__ import annotations

import copy
import csv
import hashlib
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import cv2
import numpy as np

from ltr.common.files import read_bytes
from ltr.common.images import read_image
from ltr.dataset.base import DatasetError, read_lines

POSE = ("yaw", "pitch", "roll")

MAX_ANGLE = 99
"""Degrees; heads with a larger angle are skipped, as is usual since Hopenet."""

_FURTHEST = 16384  # pixels
_MIRROR_SIGNS = {"age": 1.0, "yaw": -1.0, "pitch": 1.0, "roll": -1.0}


class LabelledImages:
    """N images with D numbers each. Images are read on demand; labels never change.

    Args:
        name: short name for messages.
        files: the file of each image; one file may hold several images.
        labels: (N, D) finite numbers; they are copied.
        target_names: of the D columns.
        groups: the person in each image, to exclude people from a training; None if unknown.
        boxes: (N, 3), the part of each file that is the image: x and y of the upper left corner and the side of a
            square, in pixels. Beyond the file's border, border pixels are repeated. None for the whole file.
        pixels: uint8 (N, H, W, 3) RGB; they replace reading the files.
        problems: skipped items, each a sentence that names the file, the reason, and the line if there is one.
        mirror_signs: factor of each column in a mirror image; known for age, yaw, pitch and roll.

    Attributes:
        labels: float64 (N, D), read-only.

    Raises:
        DatasetError: if there are no images.
        ValueError: if the arguments do not fit each other.
    """

    def __init__(
        self,
        name: str,
        files: Sequence[Path],
        labels: np.ndarray | Sequence,
        target_names: Sequence[str],
        groups: Sequence[str] | None = None,
        boxes: np.ndarray | Sequence | None = None,
        pixels: np.ndarray | None = None,
        problems: Sequence[str] = (),
        mirror_signs: Sequence[float] | None = None,
    ):
        if not len(files):
            raise DatasetError(f"{name} holds no image" + "".join(f"; {problem}" for problem in problems[:1]))
        self.name = name
        self.files = list(files)
        self.labels = np.array(labels, np.float64)
        self.target_names = tuple(target_names)
        self.groups = None if groups is None else list(groups)
        self.problems = list(problems)
        self.mirror_signs = tuple(mirror_signs or (_MIRROR_SIGNS[target] for target in target_names))
        self._boxes = None if boxes is None else np.array(boxes, np.int64)
        self._pixels = pixels
        self._rows = np.arange(len(files))  # of `pixels`
        if self.labels.shape != (len(files), len(self.target_names)) or not np.isfinite(self.labels).all():
            raise ValueError(f"{len(files)} images with {self.target_names} do not fit labels {self.labels.shape}")
        if len(self.mirror_signs) != len(self.target_names):
            raise ValueError(f"mirror_signs has {len(self.mirror_signs)} numbers for {self.target_names}")
        for part in (self.groups, self._boxes, self._pixels):
            if part is not None and len(part) != len(files):
                raise ValueError(f"{len(files)} images with {len(part)} groups, boxes or pixels")
        self.labels.flags.writeable = False

    def __len__(self) -> int:
        return len(self.files)

    def image(self, index: int) -> np.ndarray:
        """uint8 (H, W, 3) RGB; a new array every time.

        Raises:
            ImageReadError: if the file is missing or damaged.
            DatasetError: if the image's square lies outside its file's image.
        """
        if self._pixels is not None:
            return self._pixels[self._rows[index]].copy()
        image = read_image(self.files[index])
        if self._boxes is None:
            return image
        square = _square(image, *self._boxes[index])
        if square is None:
            raise DatasetError(f"the head in {self.files[index]} lies outside the image; its annotation is wrong")
        return square

    def subset(self, indices: Sequence[int] | np.ndarray, name: str | None = None) -> LabelledImages:
        """The images with these indices, in this order, optionally under another name. Problems are kept.

        Raises:
            DatasetError: if `indices` is empty.
        """
        indices = np.asarray(indices, np.int64)
        part = copy.copy(self)
        part.name = name or self.name
        if not len(indices):
            raise DatasetError(f"{part.name} holds no image: nothing is left of the {len(self)} images of {self.name}")
        part.files = [self.files[i] for i in indices]
        part.labels = self.labels[indices]
        part.labels.flags.writeable = False
        part.groups = None if self.groups is None else [self.groups[i] for i in indices]
        part.problems = list(self.problems)
        part._boxes = None if self._boxes is None else self._boxes[indices]
        part._rows = self._rows[indices]
        return part

    def split(self, count: int, seed: int = 0) -> tuple[LabelledImages, LabelledImages]:
        """Splits off `count` images, chosen by a seed; returns the others and these, both in the same order.

        The choice is the same on every machine.

        Raises:
            DatasetError: if one of the parts would be empty.
        """
        order = sorted(range(len(self)), key=lambda i: hashlib.blake2b(f"{seed} {i}".encode()).digest())
        return self.subset(sorted(order[count:])), self.subset(sorted(order[:count]))

    def split_run(self, count: int, seed: int = 0) -> tuple[LabelledImages, LabelledImages]:
        """Splits off `count` images in a row, from a place chosen by a seed; returns the others and these.

        In frames of a video, most images of one part then have no near neighbour in the other.

        Raises:
            DatasetError: if one of the parts would be empty.
        """
        digest = hashlib.blake2b(str(seed).encode()).digest()
        start = int.from_bytes(digest) % (max(len(self) - count, 0) + 1)
        run = np.arange(start, min(start + count, len(self)))
        return self.subset(np.setdiff1d(np.arange(len(self)), run)), self.subset(run)

    def leave_out(self, people: Collection[str]) -> tuple[LabelledImages, LabelledImages]:
        """Splits off the images of some people; returns the images of everyone else, and those of these people.

        Raises:
            DatasetError: if the images have no groups, a group is unknown, or one of the parts would be empty.
        """
        if self.groups is None:
            raise DatasetError(f"{self.name} does not say whom its images show, so nobody can be left out")
        unknown = sorted(set(people) - set(self.groups))
        if unknown:
            raise DatasetError(f"{self.name} has no group {unknown[0]!r}, only {', '.join(sorted(set(self.groups)))}")
        left_out = np.isin(self.groups, list(people))
        return self.subset(np.flatnonzero(~left_out)), self.subset(np.flatnonzero(left_out))

    def duplicates_of(self, other: LabelledImages) -> list[int]:
        """Indices of the images that also occur, byte by byte, in `other`.

        Raises:
            ImageReadError: if a file is missing or cannot be read.
        """
        known = {other._digest(i) for i in range(len(other))}
        return [i for i in range(len(self)) if self._digest(i) in known]

    def without_duplicates_of(self, other: LabelledImages) -> LabelledImages:
        """The images that do not occur in `other`.

        Raises:
            ImageReadError: if a file is missing or cannot be read.
            DatasetError: if no image is left.
        """
        return self.subset(np.setdiff1d(np.arange(len(self)), self.duplicates_of(other)))

    def summary(self) -> str:
        """One line with the number of images, the range and mean of each label, and the number of problems."""
        ranges = [
            f"{target} {column.min():.4g} to {column.max():.4g} (mean {column.mean():.1f})"
            for target, column in zip(self.target_names, self.labels.T, strict=True)
        ]
        people = f" of {len(set(self.groups))} people" if self.groups else ""
        problems = f"; {len(self.problems)} problems, the first: {self.problems[0]}" if self.problems else ""
        return f"{self.name}: {len(self)} images{people}, {', '.join(ranges)}{problems}"

    def __repr__(self) -> str:
        return f"LabelledImages({self.name!r}, {len(self)} images, {', '.join(self.target_names)})"

    def _digest(self, index: int) -> bytes:
        if self._pixels is not None:
            return hashlib.blake2b(self._pixels[self._rows[index]].tobytes()).digest()
        box = b"" if self._boxes is None else self._boxes[index].tobytes()
        try:
            return hashlib.blake2b(read_bytes(self.files[index]) + box).digest()
        except OSError as error:
            raise DatasetError(f"image {self.files[index]} cannot be read: {error.strerror or error}") from error


def square_around(x: float, y: float, side: float, file: Path) -> tuple[int, int, int]:
    """The square (left, top, side) of whole pixels around a centre (x, y); `file` is for the message.

    Raises:
        DatasetError: if the square is smaller than a pixel, or larger or further away than any image.
    """
    if not (max(abs(x), abs(y)) < _FURTHEST and 1 <= side < _FURTHEST):  # false for NaN
        raise DatasetError(f"{file}: no image has the head's square of {side:.4g} pixels around {x:.4g}, {y:.4g}")
    return round(x - side / 2), round(y - side / 2), round(side)


def _square(image: np.ndarray, left: int, top: int, side: int) -> np.ndarray | None:
    """A square of an image, with repeated border pixels outside; None if it contains no pixel of the image."""
    height, width = image.shape[:2]
    part = image[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    if part.size == 0:
        return None
    beyond = (max(-top, 0), max(top + side - height, 0), max(-left, 0), max(left + side - width, 0))
    return cv2.copyMakeBorder(part, *beyond, cv2.BORDER_REPLICATE)


def folder_of(root: str | Path, names: Sequence[str]) -> Path:
    """The first of these folders that exists in `root`, otherwise `root` itself: data sets unpack in several ways.

    Raises:
        DatasetError: if `root` is not a folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder")
    return next((root / name for name in names if (root / name).is_dir()), root)


def folders_with(root: str | Path, child: str, depth: int = 2) -> list[Path]:
    """The folders that hold a folder whose whole name matches a regular expression, ordered by name.

    Args:
        root: is searched first, then its folders, down to `depth` levels, but not what lies in a folder that is found.
        child: the regular expression.
        depth: levels below the root.

    Raises:
        DatasetError: if `root` is not a folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder")
    if any(path.is_dir() for path in list_files(root, child)):
        return [root]
    inner = [path for path in list_files(root, r"[^.].*") if path.is_dir()] if depth else []
    return [found for path in inner for found in folders_with(path, child, depth - 1)]


def list_files(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder whose whole names match a regular expression, ordered by name.

    Raises:
        DatasetError: if there is no such folder.
    """
    try:
        return sorted(path for path in folder.iterdir() if re.fullmatch(pattern, path.name))
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read as a folder: {error.strerror or error}") from error


def read_table(path: Path, setting: str, columns: Sequence[str], unique: str) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file, each with the number of its line; its first line must name exactly these columns.

    Blank lines are skipped.

    Args:
        path: of the file.
        setting: name of the path setting, for messages.
        columns: expected names.
        unique: the column in which no value may occur twice.

    Raises:
        DatasetError: if the file is missing, has other columns or no row, a row has more or fewer values, a quotation
            mark is not closed, or a value of `unique` occurs twice.
    """
    rows: list[tuple[int, list[str]]] = []
    for number, line in enumerate(read_lines(path, setting), start=1):
        if number > 1 and not line.strip():
            continue
        try:  # line by line: an open quotation mark would join lines
            rows += [(number, row) for row in csv.reader([line], strict=True)]
        except csv.Error as error:
            raise DatasetError(f"{path}, line {number}: {error}, in {line[:60]!r}") from error
    if not rows or rows[0][1] != list(columns):
        found = ",".join(rows[0][1])[:80] if rows else ""
        raise DatasetError(f"{path}, line 1: expected the columns {','.join(columns)}, found {found!r}")
    key = columns.index(unique)
    seen: dict[str, int] = {}
    for number, row in rows[1:]:
        if len(row) != len(columns):
            raise DatasetError(f"{path}, line {number}: expected {len(columns)} values, found {len(row)}")
        first = seen.setdefault(row[key], number)
        if first != number:
            raise DatasetError(f"{path}, line {number}: {row[key][:80]!r} is in line {first} already")
    if len(rows) == 1:
        raise DatasetError(f"{path} has no row below its columns")
    return rows[1:]


def whole_number(text: str, low: int, high: int, what: str, where: str) -> int:
    """A whole number within low .. high.

    Args:
        text: in the file.
        low, high: limits.
        what: what the number means, for the message.
        where: the file, and the line if there is one, for the message.

    Raises:
        DatasetError: if the text is not such a number.
    """
    value = int(text) if re.fullmatch(r"[+-]?\d{1,9}", text) else None
    if value is None or not low <= value <= high:
        raise DatasetError(f"{where}: {what} must be a whole number from {low} to {high}, not {text[:40]!r}")
    return value
