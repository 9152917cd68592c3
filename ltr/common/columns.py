"""Columns of numbers and names in one file that processes map into memory: it opens at once, and all share one copy.

A list of a million Python texts takes 80 MB in every process that reads it, since reading counts references in place.

The file's first line is the CRC-32 of all that follows; the second, as JSON, says which columns there are and what else
its writer noted; then come their bytes, from multiples of 64 bytes on.
"""

from __future__ import annotations

import json
import mmap
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from ltr.common.errors import UserError
from ltr.common.files import check_regular, replace_file
from ltr.common.plain import from_json

_ALIGNMENT = 64
_STARTS = "_starts"


class Names(Sequence[str]):
    """N texts that lie in one array of bytes; each is decoded when it is asked for. It equals a list of the same texts.

    Args:
        letters: uint8, the texts in UTF-8, one after the other.
        starts: int64 (N + 1,); text k is bytes starts[k] to starts[k + 1].
    """

    def __init__(self, letters: np.ndarray, starts: np.ndarray):
        self._letters, self._starts = letters, starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice) -> list[str]: ...
    def __getitem__(self, key: int | slice) -> str | list[str]:
        if isinstance(key, slice):
            return [self[k] for k in range(*key.indices(len(self)))]
        k = range(len(self))[key]  # counts negative numbers from the end, and raises IndexError
        return self._letters[self._starts[k] : self._starts[k + 1]].tobytes().decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (self[k] for k in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __add__(self, other: Sequence[str]) -> list[str]:
        return [*self, *other]

    def __repr__(self) -> str:
        return f"Names({self[:3]}{', ...' * (len(self) > 3)}, {len(self)} in all)"


def name_columns(column: str, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The two arrays of a column of texts, as :meth:`Columns.names` reads them."""
    encoded = [name.encode("utf-8", "surrogatepass") for name in names]
    starts = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(name) for name in encoded], out=starts[1:])
    return {column: np.frombuffer(b"".join(encoded), np.uint8), column + _STARTS: starts}


class Columns(Mapping[str, np.ndarray]):
    """Arrays by name, in memory or mapped from a file. Mapped ones are sent to other processes as the file's name.

    Attributes:
        about: what else their writer noted, as JSON has it.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any] | None = None):
        self._arrays = dict(arrays)
        self.about = dict(about or {})
        self._origin: tuple[Path, str] | None = None  # the file and its checksum
        self._content: mmap.mmap | None = None

    def names(self, column: str) -> Names:
        """A column of texts, see :func:`name_columns`."""
        return Names(self[column], self[column + _STARTS])

    def __getitem__(self, column: str) -> np.ndarray:
        return self._arrays[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __reduce__(self) -> tuple:
        if self._origin is None:
            return Columns, (self._arrays, self.about)
        return _map_again, self._origin

    @classmethod
    def mapped(cls, file: Path) -> Columns:
        """The columns of a file, read-only. Only :meth:`check` reads all of it.

        Raises:
            OSError: if the file cannot be opened.
            ValueError: if it is no file of columns.
        """
        check_regular(file)
        with open(file, "rb") as opened:
            content = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        checksum, _, rest = content[: content.find(b"\n", 9) + 1].partition(b"\n")
        try:
            form = from_json(rest.decode())
            start = len(checksum) + 1 + len(rest)
            arrays = {
                name: np.ndarray(column["shape"], column["dtype"], content, start + column["offset"])
                for name, column in form["columns"].items()
            }
            columns = cls(arrays, form["about"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"it has no list of its columns ({error})") from None
        columns._origin, columns._content = (file, checksum.decode("ascii", "replace")), content
        return columns

    def check(self) -> None:
        """Read all of the file.

        Raises:
            ValueError: if it is not as it was written.
        """
        if self._origin is None or self._content is None:
            return
        with memoryview(self._content) as content, content[9:] as rest:
            if self._origin[1] != f"{zlib.crc32(rest):08x}":
                raise ValueError("its content does not have its checksum")

    def write(self, file: Path) -> None:
        """Write the columns into a file, whole or not at all.

        Raises:
            OSError: as :func:`ltr.common.files.replace_file`.
        """
        form, offset = {}, 0
        parts: list[bytes | memoryview] = []
        for name, array in self._arrays.items():
            form[name] = {"shape": array.shape, "dtype": array.dtype.str, "offset": offset}
            padding = -array.nbytes % _ALIGNMENT
            parts += [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, bytes(padding)]
            offset += array.nbytes + padding
        line = json.dumps({"columns": form, "about": self.about}).encode()
        parts.insert(0, line + b" " * (-(len(line) + 10) % _ALIGNMENT) + b"\n")
        checksum = 0
        for part in parts:
            checksum = zlib.crc32(part, checksum)

        def write(temporary: Path) -> None:
            with open(temporary, "xb") as opened:
                opened.write(f"{checksum:08x}\n".encode())
                opened.writelines(parts)

        replace_file(file, write)


def _map_again(file: Path, checksum: str) -> Columns:
    """The columns that another process has mapped."""
    try:
        columns = Columns.mapped(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{file} was removed or replaced while it was used ({error}); start again") from None
    if columns._origin != (file, checksum):
        raise UserError(f"{file} was replaced while it was used; start again")
    return columns
