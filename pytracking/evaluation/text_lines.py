"""Text files that are written line by line, each line of one frame, and end up in the order of the frames.

Nothing is kept in memory: a file that is not in order is put in order on the disk.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from ltr.common.files import replace_file, writing
from pytracking.utils.frame_table import FrameTable

REMEDY = "make room on the disk, or choose another folder with --out"


class GrowingFile:
    """A file that gets a line for each frame, on the disk at once.

    Args:
        path: of the file; an earlier one is replaced.
        frames: reads the frames of its lines, in their order, when the file is finished.

    Attributes:
        path: of the file.

    Raises:
        OSError: from every method, if the file cannot be written.
    """

    def __init__(self, path: Path, frames: Callable[[], Iterable[int]]):
        self.path = path
        self._frames = frames
        self._last: int | None = None
        self._in_order = True
        self._file: TextIO = open(path, "w", buffering=1, encoding="utf-8")

    def add(self, frame: int, line: str) -> None:
        """Write the line of a frame, which ends with a line break. It replaces an earlier one of this frame."""
        self._file.write(line)
        self._in_order = self._in_order and (self._last is None or self._last < frame)
        self._last = frame

    def finish(self) -> None:
        """Close the file, without half a line at its end, and with its lines in the order of the frames."""
        self.abandon()
        _cut_half_a_line(self.path)
        if not self._in_order:  # putting it in order needs room on the disk
            sort_lines(self.path, self._frames())

    def abandon(self) -> None:
        """Close the file as it is."""
        with contextlib.suppress(OSError):  # a line that could not be written was reported before
            self._file.close()


class TextLines:
    """Writes a file of lines, one for each frame. Until it is closed its name ends in .partial.txt, so that even a
    killed process leaves its lines.

    Args:
        path: of the file.
        index: lines that are the frames of this file's lines, and are closed after it; None if its own are.

    Raises:
        UserError: from every method, if the file cannot be written.
    """

    def __init__(self, path: Path, index: TextLines | None = None):
        self.path = path
        self._partial = path.with_suffix(".partial.txt")
        with writing(path, REMEDY):
            self._file = GrowingFile(self._partial, (index or self).frames)

    def frames(self) -> Iterable[int]:
        """The numbers in these lines, which stand in the order in which they were written."""
        with open(self._partial, encoding="utf-8") as lines:
            yield from (int(line) for line in lines if line.endswith("\n"))

    def add(self, frame: int, line: str) -> None:
        """Write the line of a frame, which ends with a line break. It replaces an earlier one of this frame."""
        with writing(self.path, REMEDY):
            self._file.add(frame, line)

    def close(self) -> None:
        """Put the lines in order and give the file its own name, which, if they are in order, needs no room on a full
        disk."""
        with writing(self.path, REMEDY):
            self._file.finish()
            self._partial.replace(self.path)


def sort_lines(path: Path, frames: Iterable[int]) -> None:
    """Put the lines of a file, the nth of which is of the nth of `frames`, in the order of the frames. If a frame has
    several lines, the last one stays.

    Raises:
        OSError: if there is no room for a copy; the file is then as before.
    """
    with FrameTable() as places:
        with open(path, "rb") as lines:
            place = 0
            for frame, line in zip(frames, lines, strict=False):  # the last ones may be missing
                places[frame] = place
                place += len(line)

            def write(copy: Path) -> None:
                with open(copy, "wb") as file:
                    for _, start in places.items():
                        lines.seek(int(start))
                        file.write(lines.readline())

            replace_file(path, write)


def _cut_half_a_line(path: Path) -> None:
    """Remove an incomplete last line, which a full disk leaves: it would be taken for a box."""
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            line_end = file.read(end - start).rfind(b"\n")
            if line_end >= 0:
                end = start + line_end + 1
                break
            end = start
        file.truncate(end)


_BLOCK = 2**16  # bytes that are read at a time
