"""The record of a run on a video, {video}.json: one JSON object, whose last entry has one frame a line.

Runs go on for days, so that it is written and read line by line, at the same memory for any length.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ltr.common.files import check_regular, read_text, replace_file
from ltr.common.plain import to_plain

_FRAMES, _END = b'  "frames": [\n', b"\n  ]\n}\n"


def write_record(path: Path, head: dict[str, Any], frames: Iterable[bytes]) -> None:
    """Write a record, whole or not at all.

    Args:
        path: of the file; its folder exists.
        head: what stands before the frames.
        frames: the JSON text of each, without line breaks.

    Raises:
        OSError: if the file cannot be written.
    """

    def write(copy: Path) -> None:
        with open(copy, "wb") as file:
            file.write(json.dumps(to_plain(head), indent=2).removesuffix("\n}").encode() + b",\n" + _FRAMES)
            for number, frame in enumerate(frames):
                file.write((b",\n" if number else b"") + b"    " + frame)
            file.write(_END)

    replace_file(path, write)


class RecordFile:
    """A record on the disk.

    Args:
        path: of the file. One that was written by other means, with line breaks elsewhere, is read as a whole.

    Attributes:
        head: all entries but the frames.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no JSON object.
        RecursionError: if it is nested too deeply.
    """

    def __init__(self, path: Path):
        check_regular(path)
        self._path = path
        self._whole: list[Any] | None = None
        head = self._head_by_lines()
        if head is None:
            head = json.loads(read_text(path))
            if not isinstance(head, dict):
                raise ValueError(f"{path} is no JSON object")
            self._whole = head.pop("frames", None) or []
        self.head: dict[str, Any] = head

    def frames(self) -> Iterator[Any]:
        """The frames, one after another.

        Raises:
            ValueError: if one is no JSON.
        """
        return self._frames_by_lines() if self._whole is None else iter(self._whole)

    def _head_by_lines(self) -> dict[str, Any] | None:
        """The entries before the frames; None if the file has not the form that :func:`write_record` gives it."""
        with open(self._path, "rb") as file:
            if file.seek(0, os.SEEK_END) < len(_END):
                return None
            file.seek(-len(_END), os.SEEK_END)
            if file.read() != _END:
                return None
            file.seek(0)
            lines = []
            for line in file:
                if line == _FRAMES:
                    break
                lines.append(line)
            first = file.readline()
        try:
            json.loads(_frame(first))
            head = json.loads(b"".join(lines).rstrip().removesuffix(b",") + b"}")
        except ValueError:
            return None
        return head if isinstance(head, dict) else None

    def _frames_by_lines(self) -> Iterator[Any]:
        with open(self._path, "rb") as file:
            for line in file:
                if line == _FRAMES:
                    break
            for line in file:
                if line == b"  ]\n":
                    return
                yield json.loads(_frame(line))


def _frame(line: bytes) -> bytes:
    return line.strip().removesuffix(b",")
