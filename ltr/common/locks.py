"""Locks that processes share: a block that one process at a time can be in.

A process that is killed leaves no lock behind, only the lock's file.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import IO

_UNKNOWN = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)  # to some file systems of clusters
_RETRY_SECONDS = 0.2
_ON_WINDOWS = os.name == "nt"
logger = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(path: Path, when_taken: Callable[[], object], remove: bool = False) -> Iterator[None]:
    """A block that one process at a time can be in.

    On a file system without locks the block runs without one, with a warning.

    Args:
        path: the lock file; its folder exists.
        when_taken: is called if another process holds the lock, before waiting for it; it may raise to give up.
        remove: whether the lock file goes at the end of the block; on Windows it stays.

    Raises:
        OSError: if the lock file cannot be opened.
    """
    file = _take(path, when_taken)
    try:
        yield
    finally:
        with file:
            if remove:
                with contextlib.suppress(OSError):
                    path.unlink()  # while it is locked: who waits for it sees that it is gone, and makes another
            with contextlib.suppress(OSError):
                _unlock(file)


def _take(path: Path, when_taken: Callable[[], object]) -> IO:
    """The open lock file, locked; it lies at `path`, and not where a process that had the lock has removed it."""
    told = False
    while True:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open(path, "a"))
            try:
                if not _lock(file, False):
                    if not told:
                        when_taken()
                    told = True
                    _lock(file, True)
            except OSError as error:
                if error.errno not in _UNKNOWN:
                    raise
                _warn_of_unlocked(path.parent)
            if _lies_at(file, path):
                stack.pop_all()
                return file


@functools.cache
def _warn_of_unlocked(folder: Path) -> None:
    """Warns once, and not again for each file of the folder."""
    logger.warning("%s is not locked, since its file system has no locks: run one command at a time", folder)


def _lies_at(file: IO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _flock(file: IO, wait: bool) -> bool:
    """Locks a file for this process, on Unix; False if another process holds the lock and this one does not wait."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock_flock(file: IO) -> None:
    import fcntl

    fcntl.flock(file, fcntl.LOCK_UN)  # closing it would not do if a forked process has it too


def _lock_byte(file: IO, wait: bool) -> bool:
    """Does the same on Windows, where a process locks a part of a file: its first byte, which need not exist."""
    msvcrt = import_module("msvcrt")
    while True:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            if not wait:
                return False
            time.sleep(_RETRY_SECONDS)
        else:
            return True


def _unlock_byte(file: IO) -> None:
    msvcrt = import_module("msvcrt")
    file.seek(0)
    msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)


_lock: Callable[[IO, bool], bool] = _lock_byte if _ON_WINDOWS else _flock
_unlock: Callable[[IO], None] = _unlock_byte if _ON_WINDOWS else _unlock_flock
