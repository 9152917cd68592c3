"""What is read and checked of a data set before training, remembered in a file: the next start maps it into memory.

The files lie in the folder `cache` of :mod:`ltr.common.environment`. A data set's is used as long as its annotations
have the same content, and the folders and files that were looked at have the same times and sizes, wherever they lie.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR
from typing import Any

import numpy as np

from ltr.common.columns import Columns, name_columns
from ltr.common.environment import get_path
from ltr.common.files import remove_abandoned
from ltr.common.locks import locked

logger = logging.getLogger(__name__)

LEAST_SECONDS = 1.0
"""What is read in less is not remembered."""

_VERSION = 1  # raised whenever a reader makes something else of the same files
_ENDING = ".columns"
_ABOUT = "remembered"  # what is noted here beside what a reader notes
_UNUSED_DAYS = 30
_COARSE_SECONDS = 2.0  # a change within this time of another may leave a file's time as it was
_THREADS = 16  # for file systems that answer late
_CHUNK = 256  # files that a thread looks at in one go
_WATCHED = 64  # of many images


@dataclass
class Reading:
    """What a reader has found.

    Attributes:
        arrays: by name.
        watched: the folders and files that it has looked at, besides the source: changes of their names, sizes and
            times outdate what it found.
        about: what else it found, as JSON has it.
    """

    arrays: dict[str, np.ndarray]
    watched: Sequence[Path]
    about: dict[str, Any] = field(default_factory=dict)


def remembered(kind: str, options: Any, root: Path, read: Callable[[], Reading], source: Path | None = None) -> Columns:
    """The columns that `read` finds in a data set, from an earlier start if it has not changed since.

    Warnings of the earlier start are given again. Of processes that want the same at once, one reads and the others
    wait. Where the file cannot be written, a warning says so, and the columns are in memory.

    Args:
        kind: the reader's name, which begins the file's name.
        options: all that decides what `read` finds besides the files, as JSON has it.
        root: the folder of the data set.
        read: reads and checks; what it raises passes through.
        source: the file with most of the annotation: only its content counts, not its time.
    """
    options = json.dumps([_VERSION, options, source and source.name])
    stem = f"{kind}-{hashlib.blake2b(options.encode(), digest_size=8).hexdigest()}"
    folder = get_path("cache")
    found = _find(folder, stem, root, source)
    if found is not None:
        return found
    with contextlib.ExitStack() as stack:
        problem = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder / f"{stem}.lock", lambda: _say_waiting(root), remove=True))
        except OSError as error:
            problem = error
        else:
            found = _find(folder, stem, root, source)
            if found is not None:
                return found
        return _read(folder, stem, root, source, read, problem)


def _say_waiting(root: Path) -> None:
    logger.info("waiting for another process that reads %s", root)


def _read(
    folder: Path, stem: str, root: Path, source: Path | None, read: Callable[[], Reading], problem: OSError | None
) -> Columns:
    """Read, and remember what was found."""
    start, clock = time.time(), time.monotonic()
    source_state = _source_state(source)
    with _recorded() as messages:
        reading = read()
    columns = Columns(reading.arrays, reading.about)
    if time.monotonic() - clock < LEAST_SECONDS:
        return columns
    paths = sorted(os.path.relpath(path, root) for path in reading.watched)  # the file's name depends on their order
    states = _states(root, paths)
    content = _content(source)
    newest = max(states[:, 1].max(initial=0), source_state[1] if source_state else 0)
    if newest > 1e9 * (start - _COARSE_SECONDS) or _source_state(source) != source_state:
        return columns  # it may have changed while it was read
    about = {"root": str(root), "messages": messages, "source": source_state, "content": content}
    arrays = {**reading.arrays, **name_columns("watched", paths), "watched_states": states}
    kept = Columns(arrays, {**reading.about, _ABOUT: about})
    file = folder / f"{stem}-{hashlib.blake2b(states.tobytes(), digest_size=8).hexdigest()}{_ENDING}"
    try:
        if problem is not None:
            raise problem
        kept.write(file)
        _remove_unused(folder)
        return Columns.mapped(file)
    except (OSError, ValueError) as error:
        logger.warning(
            "what was read of %s cannot be kept in %s (%s), and is read again at every start; set EBM_CACHE to a "
            "folder with room", root, folder, getattr(error, "strerror", None) or error,
        )  # fmt: skip
        return columns


def _find(folder: Path, stem: str, root: Path, source: Path | None) -> Columns | None:
    """The columns of an earlier start that are still true."""
    contents: dict[Path, str] = {}
    for file in sorted(folder.glob(f"{stem}-*{_ENDING}")):
        try:
            columns = Columns.mapped(file)
            if not _still_true(columns, root, source, contents):
                continue
            columns.check()
            about = columns.about[_ABOUT]
            messages = [(int(level), str(message)) for level, message in about["messages"]]
            was_at = str(about["root"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("%s is damaged (%s), and is made anew", file, error)
            _remove(file)
            continue
        with contextlib.suppress(OSError):
            os.utime(file)
        for level, message in messages:
            logger.log(level, "%s", message.replace(was_at, str(root)) if len(was_at) > 1 else message)
        return columns
    return None


def _still_true(columns: Columns, root: Path, source: Path | None, contents: dict[Path, str]) -> bool:
    if not np.array_equal(_states(root, list(columns.names("watched"))), columns["watched_states"]):
        return False
    about = columns.about[_ABOUT]
    if source is None or about["source"] == _source_state(source):
        return True
    if source not in contents:
        contents[source] = _content(source)
    return about["content"] == contents[source]


def _states(root: Path, paths: Sequence[str]) -> np.ndarray:
    """int64 (N, 2): size and time in nanoseconds of a file, 0 and time of a folder, -1 and -1 where none is."""
    top = os.fspath(root)

    def of(chunk: Sequence[str]) -> list[tuple[int, int]]:
        found = []
        for path in chunk:
            try:
                state = os.stat(os.path.join(top, path))
                found.append((0 if S_ISDIR(state.st_mode) else state.st_size, state.st_mtime_ns))
            except (OSError, ValueError):
                found.append((-1, -1))
        return found

    chunks = [paths[k : k + _CHUNK] for k in range(0, len(paths), _CHUNK)]
    if len(chunks) < 2:
        return np.array(of(paths), np.int64).reshape(-1, 2)
    with ThreadPoolExecutor(_THREADS) as pool:
        return np.concatenate([np.array(part, np.int64) for part in pool.map(of, chunks)])


def _source_state(source: Path | None) -> list[int] | None:
    """Size and time of the source."""
    if source is None:
        return None
    state = source.stat()
    return [state.st_size, state.st_mtime_ns]


def _content(source: Path | None) -> str:
    """A hash of the source's content."""
    if source is None:
        return ""
    with open(source, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@contextlib.contextmanager
def _recorded() -> Iterator[list[tuple[int, str]]]:
    """A block whose log messages are kept with their levels."""
    messages: list[tuple[int, str]] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append((record.levelno, record.getMessage()))  # type: ignore[method-assign]
    packages = logging.getLogger(__name__.partition(".")[0])
    packages.addHandler(handler)
    try:
        yield messages
    finally:
        packages.removeHandler(handler)


def _remove_unused(folder: Path) -> None:
    remove_abandoned(folder, age=3600)
    for file in folder.glob(f"*{_ENDING}"):
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime > 86400 * _UNUSED_DAYS:
                _remove(file)


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink()


def spread(paths: Sequence[Path]) -> list[Path]:
    """_WATCHED of many files, evenly spread, to be watched for all: tools that change images mostly change them all."""
    chosen = np.linspace(0, len(paths) - 1, min(len(paths), _WATCHED)).round().astype(int)
    return [paths[k] for k in chosen]
