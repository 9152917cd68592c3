"""Arrays of equal length as files in a folder, with a checksum of every row: what changes on the disk is found out.

A file `rows.json` says which arrays there are, and `checksums.npy` has a CRC-32 of each row of all of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ltr.common.errors import UserError
from ltr.common.files import check_regular, read_text, write_json
from ltr.common.plain import from_json

CHECKSUMS = "checksums"
"""Name of the array of checksums, uint32 (N,)."""
_CONTENTS = "rows.json"


class RowFiles(Mapping[str, np.ndarray]):
    """The arrays of a complete folder, memory-mapped for reading.

    Args:
        folder: as :func:`seal` left it.

    Raises:
        UserError: if an array is missing, or of another form than it was.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._arrays = {}
        try:
            about: dict[str, Any] = dict(from_json(read_text(folder / _CONTENTS)))
            contents = {str(name): (tuple(form["shape"]), str(form["dtype"])) for name, form in about.items()}
        except FileNotFoundError:
            raise UserError(
                f"{folder} was written by an earlier version, without checksums, or lacks its {_CONTENTS}; "
                f"delete {folder}, and it is computed again"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder / _CONTENTS} is damaged ({error}); delete {folder}") from error
        for name, form in contents.items():
            array = map_array(folder / f"{name}.npy")
            if (array.shape, array.dtype.str) != form:
                raise UserError(f"{folder / name}.npy is damaged: it is of another form; delete {folder}")
            self._arrays[name] = array
        self._checksums = self._arrays.pop(CHECKSUMS, np.empty(0, np.uint32))
        if any(array.shape[:1] != self._checksums.shape for array in self._arrays.values()):
            raise UserError(f"{folder} is damaged: it has no checksum for each row; delete {folder}")

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def row(self, k: int) -> dict[str, np.ndarray]:
        """A copy of row k of every array.

        Raises:
            UserError: if it has changed since it was written.
        """
        found = {name: np.array(array[k]) for name, array in self._arrays.items()}
        if row_checksum(found) != self._checksums[k]:
            raise UserError(f"row {k} of the cache {self.folder} is damaged; delete {self.folder}")
        return found

    def check(self) -> None:
        """Check all rows.

        Raises:
            UserError: as :meth:`row`.
        """
        for k in range(len(self._checksums)):
            self.row(k)


def row_checksum(row: Mapping[str, np.ndarray]) -> int:
    """The CRC-32 of one row of all arrays, in the order of their names."""
    checksum = 0
    for name in sorted(row):
        checksum = zlib.crc32(np.ascontiguousarray(row[name]).data, checksum)
    return checksum


def seal(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Say in a folder which arrays it has; they and their checksums are in it.

    Raises:
        OSError: if that cannot be written.
    """
    about = {name: {"shape": list(array.shape), "dtype": array.dtype.str} for name, array in arrays.items()}
    write_json(folder / _CONTENTS, about)


def map_array(file: Path, mode: Any = "r") -> np.ndarray:
    """An array of a file, memory-mapped.

    Raises:
        UserError: if the file is missing or damaged.
    """
    try:
        check_regular(file)
        return np.load(file, mmap_mode=mode)
    except FileNotFoundError:
        raise UserError(f"{file.parent} lacks its {file.name}; delete that folder") from None
    except Exception as error:  # numpy's errors for a damaged header are of many classes
        raise UserError(f"{file} is damaged and cannot be read ({error}); delete {file.parent}") from error
