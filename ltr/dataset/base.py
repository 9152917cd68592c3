"""The interface of data sets for training a tracker: targets with boxes over time, and frames on demand.

Every data set, of video or of still images, is a list of *sequences*. A sequence is one target: its box in each of N
frames, and whether it is visible there. An annotated object of a still image is a sequence with N = 1.
"""

from __future__ import annotations

import hashlib
import math
import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltr.common.errors import DatasetError
from ltr.common.files import read_text
from ltr.common.images import read_image

VAL_FRACTION = 0.1
"""Share of the images or sequences that a split by hash keeps for validation."""

_CACHED_SEQUENCES = 64


Part = tuple[int, int, int, int]
"""Left, top, right and bottom of a rectangle of whole pixels, which may reach beyond the image."""


@dataclass(frozen=True)
class SequenceInfo:
    """One target over its N frames. Callers may share the arrays: do not write into them.

    Attributes:
        boxes: float32 (N, 4), x, y, w, h in pixels, as annotated.
        visible: bool (N,), False where the target is absent, fully occluded, out of view, or has no area.
        is_video: whether the frames belong to a video; False for an object of a still image (N = 1).
    """

    boxes: np.ndarray
    visible: np.ndarray
    is_video: bool

    def __len__(self) -> int:
        return len(self.boxes)


class VideoDataset(ABC):
    """A list of targets, their boxes, and their frames read on demand.

    Instances hold names and numbers only, no open file and no image, so they are cheap to send to data loader workers.

    Args:
        name: short name for messages and statistics.
        weights: float (number of sequences,), relative frequency of each sequence in sampling; all ones if None.
    """

    def __init__(self, name: str, weights: np.ndarray | None = None):
        self.name = name
        self._weights = weights
        self._cache: OrderedDict[int, SequenceInfo] = OrderedDict()

    @abstractmethod
    def __len__(self) -> int:
        """Number of sequences."""

    @abstractmethod
    def _read_sequence(self, index: int) -> SequenceInfo:
        """Read the annotation of a sequence; `index` is within range."""

    @abstractmethod
    def _frame_path(self, index: int, frame: int) -> Path:
        """The image file of a frame; `index` and `frame` are not negative."""

    @property
    def weights(self) -> np.ndarray:
        """float64 (number of sequences,): relative frequency of each sequence in sampling."""
        return np.ones(len(self)) if self._weights is None else self._weights

    def sequence(self, index: int) -> SequenceInfo:
        """The target's boxes and visibility, read from annotation files. The last few are cached.

        Raises:
            IndexError: if there is no such sequence.
            DatasetError: if its annotation is missing or damaged.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name} has {len(self)} sequences, there is no sequence {index}")
        if index not in self._cache:
            self._cache[index] = self._read_sequence(index)
            if len(self._cache) > _CACHED_SEQUENCES:
                self._cache.popitem(last=False)
        self._cache.move_to_end(index)
        return self._cache[index]

    def frames(
        self,
        index: int,
        ids: Sequence[int],
        reductions: Sequence[int] | None = None,
        parts: Sequence[Part] | None = None,
    ) -> list[np.ndarray]:
        """Images of a sequence, each uint8 RGB (H, W, 3), in the order of `ids`.

        Args:
            index: sequence, 0 <= index < len(self).
            ids: frame numbers in the sequence, counted from 0.
            reductions: factor by which to reduce each image, see :func:`ltr.common.images.read_image`; None for full
                size.
            parts: the pixels of each image at full size that the caller will use; None for all. Images that are
                rendered may be black elsewhere.

        Raises:
            IndexError: if there is no such sequence or frame.
            ImageReadError: if an image file is missing or damaged.
        """
        length = len(self.sequence(index))
        for frame in ids:
            if not 0 <= frame < length:
                raise IndexError(f"sequence {index} of {self.name} has {length} frames, there is no frame {frame}")
        shown: Sequence[Part | None] = parts or [None] * len(ids)
        wanted = zip(ids, reductions or [1] * len(ids), shown, strict=True)
        return [self._frame(index, frame, reduction, part) for frame, reduction, part in wanted]

    def _frame(self, index: int, frame: int, reduction: int, part: Part | None) -> np.ndarray:
        """One of :meth:`frames`; there is such a frame."""
        return read_image(self._frame_path(index, frame), reduction, self._orientation(index, frame))

    def _orientation(self, index: int, frame: int) -> int:
        """The EXIF orientation that a frame needs; 1 for frames of videos, whose boxes are of the stored pixels."""
        return 1

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_cache": OrderedDict()}  # workers read what they need themselves

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} sequences)"


def video_info(boxes: np.ndarray, hidden: np.ndarray | bool = False) -> SequenceInfo:
    """A video target with boxes (N, 4); it is visible where it is not `hidden`, bool (N,), and has w > 0 and h > 0."""
    visible = (boxes[:, 2] > 0) & (boxes[:, 3] > 0) & ~np.asarray(hidden, bool)
    return SequenceInfo(boxes.astype(np.float32), visible, is_video=True)


def hash_split(keys: Iterable[str], split: str | None) -> set[str]:
    """The names in a split. Only the names decide, so the split is the same on every machine and in every run.

    Args:
        keys: names of sequences or images.
        split: 'val' for a tenth of them, at least one (those with the smallest hash); 'train' for the rest; None for
            all.
    """
    if split not in ("train", "val", None):
        raise ValueError(f"split must be 'train', 'val' or None, not {split!r}")
    ordered = sorted(set(keys), key=lambda key: hashlib.blake2b(key.encode()).digest())
    if split is None:
        return set(ordered)
    count = max(1, round(VAL_FRACTION * len(ordered)))
    return set(ordered[:count] if split == "val" else ordered[count:])


def dataset_root(root: str | Path, setting: str, expected: str) -> Path:
    """Checks that `root` is a folder, and returns it as a Path.

    Args:
        root: folder of the data set.
        setting: name of its path setting, for the message ('lasot', 'got10k', ...).
        expected: what the folder should contain, for the message.

    Raises:
        DatasetError: if there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder; the path '{setting}' must be the folder that holds {expected}")
    return root


def read_lines(path: Path, setting: str) -> list[str]:
    """The lines of a data set's text file, without trailing blank lines.

    Raises:
        DatasetError: if the file is missing, not readable or not text; the message names file and path setting.
    """
    try:
        return read_text(path).rstrip().splitlines()
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing (looked for under the path '{setting}')") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error


def read_boxes(path: Path, setting: str, num_frames: int | None = None) -> np.ndarray:
    """The boxes of a ground-truth file, float64 (N, 4): four numbers a line, separated by commas or blanks.

    A line of four NaN stands for a frame without a target; its box is 0, 0, 0, 0. So does a blank line between others,
    if the number of frames shows that it stands for one.

    Args:
        path: the file.
        setting: name of its path setting, for messages.
        num_frames: number of images; the last one may have no line. None if it is not known.

    Raises:
        DatasetError: if the file is missing or empty, a line is neither four finite numbers nor four NaN, or it is not
            clear which line belongs to which frame; the message names file and line.
    """
    lines = read_lines(path, setting)
    if not lines:
        raise DatasetError(f"{path} is empty, it should hold one box a line")
    numbered = _lines_of_frames(path, lines, num_frames)
    texts = [line.replace(",", " ") if line.strip() else "nan nan nan nan" for _, line in numbered]
    try:
        boxes = np.loadtxt(texts, comments=None, ndmin=2)
        if boxes.shape == (len(texts), 4) and not np.isinf(boxes).any():
            nothing = np.isnan(boxes).all(1)
            boxes[nothing] = 0
            if not np.isnan(boxes).any():
                return boxes
    except ValueError:
        pass  # loadtxt does not always say which line is wrong; find it below
    for (number, line), text in zip(numbered, texts, strict=True):
        values = text.lower().split()
        if len(values) != 4 or not (values == ["nan"] * 4 or all(_is_finite_number(value) for value in values)):
            raise DatasetError(f"{path}, line {number}: expected a box of four numbers x, y, w, h, found {line[:60]!r}")
    raise DatasetError(f"{path} cannot be read as one box a line")


def _lines_of_frames(path: Path, lines: list[str], num_frames: int | None) -> list[tuple[int, str]]:
    """The line of each frame and its number in the file: all lines, or those that are not blank."""
    every = list(enumerate(lines, start=1))
    filled = [(number, line) for number, line in every if line.strip()]
    readings = [every] if len(filled) == len(every) else [every, filled]
    if num_frames is not None:
        fitting = [reading for reading in readings if len(reading) in (num_frames, num_frames - 1)]
        if not fitting:
            raise DatasetError(f"{path} has {len(every)} lines, but there are {num_frames} frames")
        readings = fitting
    if len(readings) > 1:
        blank = next(number for number, line in every if not line.strip())
        raise DatasetError(
            f"{path}, line {blank} is blank, and it is not clear whether it stands for a frame; write NaN,NaN,NaN,NaN "
            "for a frame without a target, and remove other blank lines"
        )
    return readings[0]


def _is_finite_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def read_flags(path: Path, setting: str, length: int, num_frames: int | None = None) -> np.ndarray:
    """The whole numbers of a label file, int64 (length,): one per frame, separated by commas, blanks or line ends.

    A number may be written as 0.0. If there is a number for each of `num_frames` images, the first `length` are
    returned. If there is no such file, all are -1.

    Raises:
        DatasetError: if the file holds other values than `length` whole numbers; the message names file and line.
    """
    if not path.exists():
        return np.full(length, -1)
    values = []
    for number, line in enumerate(read_lines(path, setting), start=1):
        try:
            numbers = [float(value) for value in line.replace(",", " ").split()]
            if not all(value.is_integer() for value in numbers):
                raise ValueError
        except ValueError:
            raise DatasetError(f"{path}, line {number}: expected whole numbers, found {line[:60]!r}") from None
        values += numbers
    if len(values) not in (length, num_frames):
        raise DatasetError(f"{path} has {len(values)} values, its sequence has {length} boxes")
    return np.array(values[:length], dtype=np.int64)


def count_frames(annotation: Path, folder: Path, setting: str, name: Callable[[int], str]) -> int:
    """The number of images in a folder, which must be named by consecutive numbers.

    Args:
        annotation: the file of their boxes, for messages.
        folder: of the images.
        setting: name of the path setting, for messages.
        name: the file name of frame k, counted from 0.

    Raises:
        DatasetError: if there is no such folder, or a frame is missing.
    """
    suffix = Path(name(0)).suffix
    try:
        names = {entry for entry in os.listdir(folder) if entry.lower().endswith(suffix) and entry[0] != "."}
    except OSError:
        raise DatasetError(
            f"{folder} is not a readable folder; it should hold the frames of {annotation} (path '{setting}')"
        ) from None
    missing = next((name(k) for k in range(len(names)) if name(k) not in names), None)
    if missing is not None:
        raise DatasetError(f"{folder} holds {len(names)} {suffix} frames, but not {missing}; unpack its archive again")
    return len(names)


def read_names(path: str | Path, setting: str) -> list[str]:
    """The names in a list file, one a line; blank lines are skipped.

    Raises:
        DatasetError: if the file is missing or names nothing.
    """
    names = [line.strip() for line in read_lines(Path(path), setting) if line.strip()]
    if not names:
        raise DatasetError(f"{path} names no sequence")
    return names


def require_folders(parent: Path, names: Iterable[str], setting: str, remedy: str) -> None:
    """Checks that `parent` holds a folder (or a link to one) for each name.

    Args:
        parent: the folder to search.
        names: of the folders.
        setting: name of the path setting, for the message.
        remedy: how to obtain the folders, for the message.

    Raises:
        DatasetError: if some are missing; the message says how many, and names the first.
    """
    try:
        present = {entry.name for entry in os.scandir(parent) if entry.is_dir()}
    except OSError:
        raise DatasetError(f"{parent} is not a readable folder (looked for under the path '{setting}')") from None
    names = list(names)
    missing = [name for name in names if name not in present]
    if missing:
        raise DatasetError(
            f"{parent} lacks {len(missing)} of {len(names)} sequence folders, the first is {missing[0]} "
            f"(path '{setting}'): {remedy}"
        )
