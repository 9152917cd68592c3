"""A cache on disk of arrays that take long to compute: row by row, so that an interrupted computation continues."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ltr.common.errors import UserError
from ltr.common.files import read_text, write_json
from ltr.common.locks import locked
from ltr.common.plain import from_json
from ltr.data.row_files import CHECKSUMS, RowFiles, map_array, row_checksum, seal

logger = logging.getLogger(__name__)

Rows = dict[str, np.ndarray]

_SAVE_SECONDS = 20  # a process that is killed loses at most the rows of this time
_DONE = "rows_done.json"


def cached_rows(
    folder: Path, num_rows: int, compute: Callable[[int], Iterator[Rows]], what: str, remedy: str
) -> RowFiles:
    """Arrays of `num_rows` rows, memory-mapped for reading; they are computed if `folder` does not hold them yet.

    If several processes want the same rows at the same time, one computes and the others wait.

    Args:
        folder: holds a file for each array once it is complete; until then they lie in a folder beside it that ends in
            .part.
        num_rows: length of each array.
        compute: `compute(k)` yields the rows from number k on, in order, any number of them at a time.
        what: what the rows are, for messages.
        remedy: what a user can do if the folder cannot be written, as a sentence.

    Raises:
        UserError: if the folder cannot be written, the disk is full, or a file is damaged. What `compute` raises passes
            through, and the rows that it had computed stay.
    """
    if not folder.is_dir():

        def report() -> None:
            logger.info("waiting for another process that computes the same %s in %s", what, folder)

        with contextlib.ExitStack() as stack:
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(folder.with_suffix(".lock"), when_taken=report))
            except OSError as error:
                raise _not_written(folder, what, remedy, error) from error
            if not folder.is_dir():  # another process may have made it meanwhile
                _make(folder, num_rows, compute, what, remedy)
    return RowFiles(folder)


def _make(folder: Path, num_rows: int, compute: Callable[[int], Iterator[Rows]], what: str, remedy: str) -> None:
    part = folder.with_suffix(".part")
    arrays, done = _partial_rows(part, num_rows)
    try:
        if not arrays:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
        saved = time.monotonic()
        for rows in compute(done) if done < num_rows else ():
            if not arrays:
                arrays = {k: _new_array(part / f"{k}.npy", (num_rows, *v.shape[1:]), v.dtype) for k, v in rows.items()}
                arrays[CHECKSUMS] = _new_array(part / f"{CHECKSUMS}.npy", (num_rows,), np.dtype(np.uint32))
            done += _write(rows, arrays, done, what)
            if time.monotonic() - saved > _SAVE_SECONDS:
                _save(part, arrays, done)
                saved = time.monotonic()
        for array in arrays.values():
            array.flush()
        seal(part, arrays)
        (part / _DONE).unlink(missing_ok=True)
        os.rename(part, folder)
    except OSError as error:
        raise _not_written(folder, what, remedy, error) from error
    finally:
        if done == 0:
            shutil.rmtree(part, ignore_errors=True)
        elif part.is_dir():  # interrupted, or a row cannot be computed
            with contextlib.suppress(OSError):  # the first error says more
                _save(part, arrays, done)


def _write(rows: Rows, arrays: dict[str, np.memmap], start: int, what: str) -> int:
    """Write rows from number `start` on with their checksums; returns how many."""
    count = len(next(iter(rows.values())))
    for name, value in rows.items():
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            raise UserError(
                f"the {what} cannot be used: {name} is not finite in the rows {start} to {start + count - 1}"
            )
        arrays[name][start : start + count] = value
    for k in range(count):
        arrays[CHECKSUMS][start + k] = row_checksum({name: value[k] for name, value in rows.items()})
    return count


def _save(part: Path, arrays: dict[str, np.memmap], done: int) -> None:
    for array in arrays.values():
        array.flush()
    write_json(part / _DONE, done)


def _partial_rows(part: Path, num_rows: int) -> tuple[dict[str, np.memmap], int]:
    """The arrays of an interrupted computation and how many of their rows are computed; none if they are not usable."""
    try:
        done = from_json(read_text(part / _DONE))
        arrays: dict[str, Any] = {file.stem: map_array(file, "r+") for file in part.glob("*.npy")}
        checksums = arrays[CHECKSUMS]
        usable = type(done) is int and 0 < done <= num_rows and len(arrays) > 1
        if not usable or any(array.shape[:1] != (num_rows,) for array in arrays.values()):
            return {}, 0
        last = {name: array[done - 1] for name, array in arrays.items() if name != CHECKSUMS}
        return (arrays, done) if row_checksum(last) == checksums[done - 1] else ({}, 0)
    except (OSError, ValueError, KeyError, UserError):
        return {}, 0


def _new_array(file: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
    """An array on disk that takes its space at once: if the disk filled later, the process would die without a word."""
    array = np.lib.format.open_memmap(file, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):
        with open(file, "r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    return array


def _not_written(folder: Path, what: str, remedy: str, error: OSError) -> UserError:
    return UserError(f"the {what} {folder} cannot be written: {error.strerror or error}. {remedy}")
