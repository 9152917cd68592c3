"""Videos with annotation files of their own, tens of thousands of them: read and checked once, and then remembered."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from ltr.dataset.base import DatasetError, SequenceInfo, VideoDataset
from ltr.dataset.remembered import Reading, remembered

logger = logging.getLogger(__name__)
Name = TypeVar("Name")


class AnnotatedVideos(VideoDataset, Generic[Name]):
    """The sequences of a data set whose annotations can be used.

    The constructor reads the annotations of all sequences, so that nothing odd is found in mid-training, and warns of
    those that are left out, and of label files that are missing. What it read is remembered, and mapped into memory:
    loader workers share it, and read no annotation.

    Args:
        name: short name for messages and statistics.
        root: the folder of the data set.
        sequences: names of the sequences, in the order of the data set.

    Raises:
        DatasetError: if none can be read.
    """

    def __init__(self, name: str, root: Path, sequences: Sequence[Name]):
        super().__init__(name)
        self.root = root
        names = list(sequences)
        self._columns = remembered(name, names, root, lambda: self._read_all(names))
        self.sequences: list[Name] = [names[k] for k in self._columns["used"]]
        """Names of the sequences that can be used."""

    @abstractmethod
    def _annotation(self, name: Name) -> Path:
        """The file of a sequence's boxes."""

    @abstractmethod
    def _folder(self, name: Name) -> Path:
        """The folder of a sequence's images."""

    @abstractmethod
    def _read(self, name: Name) -> SequenceInfo:
        """Read the annotation of a sequence, and check it against the names of its images.

        Raises:
            DatasetError: if it cannot be used.
        """

    def _flags(self, name: Name) -> list[Path]:
        """The label files of a sequence that say where its target is hidden."""
        return []

    def __len__(self) -> int:
        return len(self.sequences)

    def _read_sequence(self, index: int) -> SequenceInfo:
        start, end = self._columns["starts"][index : index + 2]
        return SequenceInfo(self._columns["boxes"][start:end], self._columns["visible"][start:end], is_video=True)

    def _read_all(self, names: Sequence[Name]) -> Reading:
        def read(name: Name) -> SequenceInfo | DatasetError:
            try:
                return self._read(name)
            except DatasetError as error:
                return error

        with ThreadPoolExecutor(8) as pool:
            found: list[SequenceInfo | DatasetError] = list(pool.map(read, names))
        infos = [info for info in found if isinstance(info, SequenceInfo)]
        odd = [error for error in found if isinstance(error, DatasetError)]
        if not infos and odd:
            raise DatasetError(f"none of the {len(names)} sequences of {self.name} can be used; the first: {odd[0]}")
        if odd:
            count = f"{len(odd)} of {len(names)} sequences"
            logger.warning("%s of %s are left out; the first: %s", count, self.name, odd[0])
        used = [k for k, info in enumerate(found) if isinstance(info, SequenceInfo)]
        missing = [file for k in used for file in self._flags(names[k]) if not file.exists()]
        if missing:
            logger.warning(
                "%s lacks %d label files, the first is %s; no frame of these sequences counts as hidden by them",
                self.name, len(missing), missing[0],
            )  # fmt: skip
        arrays = {
            "used": np.array(used, np.int64),
            "starts": np.cumsum([0, *map(len, infos)], dtype=np.int64),
            "boxes": np.concatenate([info.boxes for info in infos]),
            "visible": np.concatenate([info.visible for info in infos]),
        }
        watched = [path for name in names for path in (self._annotation(name), *self._flags(name), self._folder(name))]
        return Reading(arrays, watched)
