"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from ltr.common.errors import UserError
from ltr.common.plain import to_plain


def write_atomically(path: Path, write: Callable[[BinaryIO], None], keep: Path | None = None) -> None:
    """Write a file so that `path` holds either its old content or the whole new content, whenever the process dies.

    Args:
        path: the file; its folder exists.
        write: writes the content to an open binary file.
        keep: where the old content of `path` goes, if it is to be kept.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """

    def make(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())

    replace_atomically(path, make, keep)


def replace_atomically(path: Path, make: Callable[[Path], None], keep: Path | None) -> None:
    """Put the file that `make` makes in the place of `path`, at once; raises as :func:`write_atomically`."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        make(temporary)
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; choose another --workspace.") from error
    finally:
        temporary.unlink(missing_ok=True)


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


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a file whole or not at all: a reader, or a run cut off here, never sees half of it.

    Raises OSError as ``open`` does.
    """
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write_json(path: str | os.PathLike, value: Any) -> None:
    """``value`` as indented JSON, written whole or not at all."""
    write_text(path, json.dumps(to_plain(value), indent=2) + "\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def make_writable(folder: Path) -> None:
    """Makes the folder where it is missing, and sees that a file can be made in it. Raises OSError where not."""
    folder.mkdir(parents=True, exist_ok=True)
    test = folder / ".writable"
    test.touch()
    test.unlink(missing_ok=True)
