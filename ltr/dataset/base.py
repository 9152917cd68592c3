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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltr.common.errors import DatasetError
from ltr.common.images import read_image

VAL_FRACTION = 0.1
"""Share of the images or sequences that a split by hash keeps for validation."""

_CACHED_SEQUENCES = 64


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

    def frames(self, index: int, ids: Sequence[int], reductions: Sequence[int] | None = None) -> list[np.ndarray]:
        """Images of a sequence, each uint8 RGB (H, W, 3), in the order of `ids`.

        Args:
            index: sequence, 0 <= index < len(self).
            ids: frame numbers in the sequence, counted from 0.
            reductions: factor by which to reduce each image, see :func:`ltr.common.images.read_image`; None for full
                size.

        Raises:
            IndexError: if there is no such sequence or frame.
            ImageReadError: if an image file is missing or damaged.
        """
        length = len(self.sequence(index))
        for frame in ids:
            if not 0 <= frame < length:
                raise IndexError(f"sequence {index} of {self.name} has {length} frames, there is no frame {frame}")
        reductions = reductions or [1] * len(ids)
        return [
            read_image(self._frame_path(index, frame), k, self._orientation(index, frame))
            for frame, k in zip(ids, reductions, strict=True)
        ]

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
        return path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing (looked for under the path '{setting}')") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error


def read_boxes(path: Path, setting: str) -> np.ndarray:
    """The boxes of a ground-truth file, float64 (N, 4): four numbers a line, separated by commas or blanks.

    Raises:
        DatasetError: if the file is missing or empty, or a line is not four finite numbers; the message names file and
            line.
    """
    lines = read_lines(path, setting)
    if not lines:
        raise DatasetError(f"{path} is empty, it should hold one box a line")
    try:
        boxes = np.loadtxt([line.replace(",", " ") for line in lines], comments=None, ndmin=2)
        if boxes.shape == (len(lines), 4) and np.isfinite(boxes).all():
            return boxes
    except ValueError:
        pass  # loadtxt does not always say which line is wrong; find it below
    for number, line in enumerate(lines, start=1):
        values = line.replace(",", " ").split()
        if len(values) != 4 or not all(_is_finite_number(value) for value in values):
            raise DatasetError(f"{path}, line {number}: expected a box of four numbers x, y, w, h, found {line[:60]!r}")
    raise DatasetError(f"{path} cannot be read as one box a line")


def _is_finite_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def read_flags(path: Path, setting: str, length: int) -> np.ndarray:
    """The whole numbers of a label file, int64 (length,): one per frame, separated by commas, blanks or line ends.

    Raises:
        DatasetError: if the file is missing, or holds other values than `length` whole numbers; the message names file
            and line.
    """
    values = []
    for number, line in enumerate(read_lines(path, setting), start=1):
        try:
            values += [int(value) for value in line.replace(",", " ").split()]
        except ValueError:
            raise DatasetError(f"{path}, line {number}: expected whole numbers, found {line[:60]!r}") from None
    if len(values) != length:
        raise DatasetError(f"{path} has {len(values)} values, its sequence has {length} boxes")
    return np.array(values, dtype=np.int64)


def check_frame_count(annotation: Path, length: int, folder: Path, suffix: str = ".jpg") -> None:
    """Checks that a folder holds as many frames as the annotation has lines.

    Raises:
        DatasetError: if there is no such folder, or the counts differ; the message names both.
    """
    try:
        frames = sum(name.lower().endswith(suffix) for name in os.listdir(folder))
    except OSError:
        raise DatasetError(f"{folder} is not a readable folder; it should hold the frames of {annotation}") from None
    if frames != length:
        raise DatasetError(f"{annotation} has {length} lines, but {folder} holds {frames} {suffix} frames")


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
