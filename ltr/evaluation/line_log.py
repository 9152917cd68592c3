"""Results on disk as soon as they are computed, one line of JSON each, so that a stopped computation can continue.

The first line identifies the computation: weights, data, settings, code. The file's name contains a digest of it, so
other weights or settings have another file: old results are never mistaken for new ones, and none are overwritten.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, TypeVar

import ebm_common
import ltr.models
import ltr.ops
from ltr.common.errors import UserError
from ltr.common.locks import locked
from ltr.common.provenance import digest_of_code
from ltr.evaluation.tables import REMEDY

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
logger = logging.getLogger(__name__)


CODE = digest_of_code(Path(str(package.__file__)).parent for package in (ebm_common, ltr.models, ltr.ops))
"""Digest of the networks' code, at import: the files may change while the program runs."""


class LineLog(Generic[T]):
    """Results by a key of theirs. Appended ones are on disk at once. Use it in a `with` block.

    One process at a time has a file open: another one that wants it waits, and then has the results of the first.

    Args:
        path: without its ending: the file is {path}-{digest}.jsonl. None keeps all in memory only.
        kind: of the results, a dataclass of plain values.
        key: the field of a result that identifies it.
        about: everything that decides the results, as plain values.
        restart: whether to discard the content of an existing file.

    Raises:
        UserError: if the file cannot be read or written, or is no such log.
    """

    def __init__(self, path: Path | None, kind: type[T], key: str, about: Mapping[str, Any], restart: bool = False):
        header = json.dumps({"about": about}, sort_keys=True)
        digest = hashlib.sha256(header.encode()).hexdigest()[:10]
        self.path = None if path is None else path.with_name(f"{path.name}-{digest}.jsonl")
        self._kind, self._key = kind, key
        self._results: dict[Any, T] = {}
        self._file: BinaryIO | None = None
        self._opened = ExitStack()
        if self.path is None:
            return
        with ExitStack() as stack:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.path.with_suffix(".lock"), self._say_that_it_waits, remove=True))
                self._file = stack.enter_context(open(self.path, "a+b"))
                if restart:
                    self._file.truncate(0)
                self._read(self._file, header)
            except OSError as error:
                raise self._failed(error) from error
            self._opened = stack.pop_all()

    def __enter__(self) -> LineLog[T]:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._opened.close()

    def __contains__(self, key: Any) -> bool:
        return key in self._results

    def keys(self) -> list[Any]:
        """The keys of all results."""
        return list(self._results)

    def __getitem__(self, key: Any) -> T:
        return self._results[key]

    def append(self, result: T) -> None:
        """Adds a result.

        Raises:
            UserError: if the disk is full.
        """
        self._results[getattr(result, self._key)] = result
        self._write(json.dumps(asdict(result)))

    def _read(self, file: BinaryIO, header: str) -> None:
        """Reads an existing log; removes an incomplete last line, as a killed process leaves it."""
        file.seek(0)
        first, *lines = file.read().split(b"\n")
        if not lines:  # a new file, or one with an incomplete first line
            file.truncate(0)
            self._write(header)
            return
        if first != header.encode():
            raise UserError(f"the content of {self.path} does not belong to its name; move it away")
        if incomplete := lines.pop():
            file.truncate(file.tell() - len(incomplete))
        for number, line in enumerate(lines, 2):
            try:
                result = self._kind(**json.loads(line))
                self._results[getattr(result, self._key)] = result
            except (ValueError, TypeError):
                logger.warning("%s, line %d is damaged; what it had is computed again", self.path, number)

    def _write(self, line: str) -> None:
        if self._file is None:
            return
        try:
            self._file.write(line.encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error

    def _say_that_it_waits(self) -> None:
        logger.warning("waiting for another process, which computes the same for %s", self.path)

    def _failed(self, error: OSError) -> UserError:
        return UserError(f"{self.path} cannot be written: {error.strerror or error}; {REMEDY}")
