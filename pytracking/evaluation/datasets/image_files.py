"""The image files of a sequence in little memory: the 685,000 of LaSOT's testing set are 220 MB of Python's paths."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from ltr.common.columns import Columns, Names, name_columns


class ImageFiles(Sequence[Path]):
    """Files of one folder, whose paths are made when they are asked for. It equals a list of the same paths."""

    def __init__(self, folder: Path, names: Names):
        self._folder, self._names = folder, names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, key: int) -> Path: ...
    @overload
    def __getitem__(self, key: slice) -> list[Path]: ...
    def __getitem__(self, key: int | slice) -> Path | list[Path]:
        if isinstance(key, slice):
            return [self._folder / name for name in self._names[key]]
        return self._folder / self._names[key]

    def __iter__(self) -> Iterator[Path]:
        return (self._folder / name for name in self._names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __add__(self, other: Sequence[Path]) -> list[Path]:
        return [*self, *other]

    def __repr__(self) -> str:
        return f"ImageFiles({os.fspath(self._folder)!r}, {self._names!r})"


def compact(files: Sequence[Path]) -> Sequence[Path]:
    """The same files, as :class:`ImageFiles` if they lie in one folder."""
    if isinstance(files, ImageFiles) or not files:
        return files
    folder = files[0].parent
    start = os.path.join(folder, "")
    texts = [os.fspath(file) for file in files]
    names = [text[len(start) :] for text in texts]
    if not all(text.startswith(start) for text in texts) or any(os.path.basename(name) != name for name in names):
        return files
    return ImageFiles(folder, Columns(name_columns("names", names)).names("names"))
