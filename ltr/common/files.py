"""Files that are written whole or not at all.

The functions raise OSError as `open` does; :func:`writing` turns it into a sentence for the user.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ltr.common.errors import UserError
from ltr.common.plain import to_plain

_TEMPORARY = ".tmp"


def check_regular(path: str | os.PathLike) -> None:
    """Check, before a file is opened, that opening and reading it ends.

    Raises:
        OSError: if it is a pipe, a socket or a device, or there is no file.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening a folder fails, and says what it is
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, and not a file", os.fspath(path))


def read_bytes(path: str | os.PathLike) -> bytes:
    """The content of a file; raises OSError also for a pipe or a device, from which reading could wait forever."""
    check_regular(path)
    return Path(path).read_bytes()


def read_text(path: str | os.PathLike, errors: str = "strict") -> str:
    """The text of a file in UTF-8, without the byte order mark that editors on Windows write.

    Raises:
        OSError: as :func:`read_bytes`.
        UnicodeDecodeError: if it is in another encoding, and `errors` is 'strict'.
    """
    check_regular(path)
    return Path(path).read_text(encoding="utf-8-sig", errors=errors)


def replace_file(path: Path, write: Callable[[Path], object], keep: Path | None = None) -> None:
    """Replace a file at once: whenever the process dies, `path` holds its old content or the whole new content.

    Args:
        path: the file; its folder exists.
        write: writes the new content to the path that it is given, where no file exists yet.
        keep: where the old content of `path` goes, if it is to be kept.

    Raises:
        OSError: if the disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_TEMPORARY}")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        error.filename = error.filename or os.fspath(path)  # which a full disk does not say
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_abandoned(folder: Path, age: float = 0.0, of: str | None = None) -> None:
    """Remove what processes that were killed while they wrote a file have left in a folder.

    Args:
        folder: without a process that writes into it, or `age` keeps its files.
        age: seconds since a file was written to; younger ones stay.
        of: name of the file that they were to become; None for all.
    """
    for file in folder.glob(f".{'' if of is None else glob.escape(of) + '.'}*{_TEMPORARY}"):
        with contextlib.suppress(OSError):
            if time.time() - file.lstat().st_mtime >= age:
                file.unlink()


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write a file whole or not at all; raises as :func:`replace_file`."""
    replace_file(Path(path), lambda temporary: temporary.write_bytes(content))


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file, in UTF-8, whole or not at all; raises as :func:`replace_file`.

    What UTF-8 does not have, such as bytes of a file name in another encoding, is written as an escape.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_lines(path: str | os.PathLike, lines: Iterable[str]) -> None:
    """Write a text file of lines that come without their ends, in UTF-8, whole or not at all; raises as
    :func:`write_text`."""

    def write(temporary: Path) -> None:
        with open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)

    replace_file(Path(path), write)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all; raises as :func:`replace_file`."""
    write_text(path, json.dumps(to_plain(value), indent=2) + "\n")


@contextlib.contextmanager
def writing(path: Path, remedy: str) -> Iterator[None]:
    """A block that writes `path`.

    Raises:
        UserError: if an OSError leaves the block; it names the path, the cause and the remedy.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            remedy = "give what it is named after a shorter name"
        raise UserError(f"{path} cannot be written: {error.strerror or error}; {remedy}") from error


def make_writable(folder: Path) -> None:
    """Make a folder where it is missing, and check that files can be made in it.

    Raises:
        OSError: if that is not possible.
    """
    folder.mkdir(parents=True, exist_ok=True)
    test = folder / ".writable"
    test.touch()
    test.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
