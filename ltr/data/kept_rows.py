"""Arrays that take long to compute, kept on disk row by row: what is interrupted goes on where it was."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ltr.common.errors import UserError
from ltr.common.files import write_atomically

logger = logging.getLogger(__name__)

Rows = dict[str, np.ndarray]

_SAVE_SECONDS = 20  # a process that is killed loses no more
_DONE = "rows_done.json"


def kept_rows(folder: Path, number: int, compute: Callable[[int], Iterator[Rows]], what: str, way_out: str) -> Rows:
    """Arrays of `number` rows, memory-mapped and not to be written; computed if they are not in `folder` yet.

    Processes that want the same at the same time wait for the first of them, where the system has locks.

    Args:
        folder: holds a file for each array when it is complete; until then there is one beside it, ending in .part.
        number: of rows.
        compute: `compute(k)` yields the rows from number k on, in order, any number of them at a time.
        what: what they are, for messages.
        way_out: what a user can do where the folder cannot be written.

    Raises:
        UserError: the folder cannot be written, the disk is full, or a file is damaged. What `compute` raises is passed
            on, and what it had computed stays.
    """
    if not folder.is_dir():
        with _locked(folder, what, way_out):
            if not folder.is_dir():  # another process may have made it meanwhile
                _make(folder, number, compute, what, way_out)
    return open_rows(folder)


def open_rows(folder: Path) -> Rows:
    """The arrays of a complete folder, memory-mapped.

    Raises:
        UserError: a file is damaged.
    """
    arrays = {}
    for file in sorted(folder.glob("*.npy")):
        try:
            arrays[file.stem] = np.load(file, mmap_mode="r")
        except (OSError, EOFError, ValueError) as error:
            raise UserError(f"{file} is damaged and cannot be read ({error}); delete {folder}") from error
    return arrays


@contextlib.contextmanager
def _locked(folder: Path, what: str, way_out: str) -> Iterator[None]:
    """One process computes, others that want the same wait for it. A killed one leaves no lock behind."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = open(folder.with_suffix(".lock"), "w")
    except OSError as error:
        raise _not_written(folder, what, way_out, error) from error
    with file:
        try:
            import fcntl
        except ImportError:  # Windows has no such lock: two trainings that start together both compute
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            logger.info("waiting for another process that computes the same %s in %s", what, folder)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(folder: Path, number: int, compute: Callable[[int], Iterator[Rows]], what: str, way_out: str) -> None:
    part = folder.with_suffix(".part")
    arrays, done = _left_behind(part, number)
    try:
        if not arrays:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
        saved = time.monotonic()
        for rows in compute(done) if done < number else ():
            if not arrays:
                arrays = {k: _new_array(part / f"{k}.npy", (number, *v.shape[1:]), v.dtype) for k, v in rows.items()}
            for name, value in rows.items():
                arrays[name][done : done + len(value)] = value
            done += len(next(iter(rows.values())))
            if time.monotonic() - saved > _SAVE_SECONDS:
                _save(part, arrays, done)
                saved = time.monotonic()
        for array in arrays.values():
            array.flush()
        (part / _DONE).unlink(missing_ok=True)
        os.rename(part, folder)
    except OSError as error:
        raise _not_written(folder, what, way_out, error) from error
    finally:
        if done == 0:
            shutil.rmtree(part, ignore_errors=True)
        elif part.is_dir():  # interrupted, or a row cannot be computed
            _save(part, arrays, done)


def _save(part: Path, arrays: Rows, done: int) -> None:
    for array in arrays.values():
        array.flush()
    write_atomically(part / _DONE, lambda file: file.write(json.dumps(done).encode()))


def _left_behind(part: Path, number: int) -> tuple[Rows, int]:
    """What an earlier process had computed, and how many rows of it; nothing if there is nothing to go on from."""
    try:
        done = json.loads((part / _DONE).read_bytes())
        arrays = {file.stem: np.load(file, mmap_mode="r+") for file in part.glob("*.npy")}
    except (OSError, EOFError, ValueError):
        return {}, 0
    usable = isinstance(done, int) and 0 < done <= number and all(len(array) == number for array in arrays.values())
    return (arrays, done) if usable and arrays else ({}, 0)


def _new_array(file: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
    """An array on disk whose space is taken at once: a disk that fills later would kill the process without a word."""
    array = np.lib.format.open_memmap(file, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):
        with open(file, "r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    return array


def _not_written(folder: Path, what: str, way_out: str, error: OSError) -> UserError:
    return UserError(f"the {what} {folder} cannot be written: {error.strerror or error}. {way_out}")
