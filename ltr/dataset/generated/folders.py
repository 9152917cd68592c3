"""Folders that are written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PARTIAL = ".partial-"
_STALE = 3600.0  # seconds after which a half-written folder counts as abandoned


@contextmanager
def new_folder(folder: Path, is_complete: Callable[[], bool], prefix: str = _PARTIAL) -> Iterator[Path]:
    """A temporary folder to write into. It replaces `folder` on success; on failure it is removed.

    Args:
        folder: the final folder; whatever it holds is removed. Its parent exists.
        is_complete: whether `folder` already holds the same, asked if another process has finished first.
        prefix: prefix of the temporary folder's name beside `folder`; :func:`remove_leftovers` looks for it.
    """
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp makes folders that only their owner can read
        if folder.exists():
            shutil.rmtree(folder)
        try:
            os.rename(partial, folder)
        except OSError:
            if not is_complete():  # otherwise another process has finished first, with the same pixels
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_leftovers(folder: Path, prefix: str = _PARTIAL) -> None:
    """Remove half-written folders of killed processes from `folder`, but none that is less than an hour old."""
    for partial in folder.glob(f"{prefix}*"):
        with suppress(FileNotFoundError):
            if time.time() - partial.stat().st_mtime > _STALE:
                shutil.rmtree(partial, ignore_errors=True)


def read_json(path: Path) -> object:
    """The content of a JSON file; None if it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
