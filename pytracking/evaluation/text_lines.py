"""Text files that are written line by line, each line of one frame, and end up in the order of the frames."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from pathlib import Path

from ltr.common.files import replace_file, writing

REMEDY = "make room on the disk, or choose another folder with --out"


class TextLines:
    """Writes a file of lines, one for each frame. Until it is closed its name ends in .partial.txt, so that even a
    killed process leaves its lines.

    Raises:
        UserError: from every method, if the file cannot be written.
    """

    def __init__(self, path: Path):
        self.path = path
        self._partial = path.with_suffix(".partial.txt")
        self._frames: list[int] = []
        with writing(path, REMEDY):
            self._file = open(self._partial, "w", buffering=1, encoding="utf-8")

    def add(self, frame: int, line: str) -> None:
        """Write the line of a frame, which ends with a line break. It replaces an earlier one of this frame."""
        with writing(self.path, REMEDY):
            self._file.write(line)
        self._frames.append(frame)

    def close(self) -> None:
        """Put the lines in order and give the file its own name, which, if they are in order, needs no room on a full
        disk."""
        with contextlib.suppress(OSError):  # a line that could not be written was reported before
            self._file.close()
        with writing(self.path, REMEDY):
            _cut_half_a_line(self._partial)
            sort_lines(self._partial, self._frames)
            self._partial.replace(self.path)


def sort_lines(path: Path, frames: list[int]) -> None:
    """Put the lines of a file, the nth of which is of frame `frames[n]`, in the order of the frames. If a frame has
    several lines, the last one stays.

    Raises:
        OSError: if there is no room for a copy; the file is then as before.
    """
    if all(before < after for before, after in pairwise(frames)):
        return
    places: dict[int, int] = {}
    with open(path, "rb") as lines:
        place = 0
        for frame, line in zip(frames, lines, strict=False):  # the last ones may be missing
            places[frame] = place
            place += len(line)

        def write(copy: Path) -> None:
            with open(copy, "wb") as file:
                for frame in sorted(places):
                    lines.seek(places[frame])
                    file.write(lines.readline())

        replace_file(path, write)


def _cut_half_a_line(path: Path) -> None:
    """Remove an incomplete last line, which a full disk leaves: it would be taken for a box."""
    text = path.read_bytes()
    if not text.endswith(b"\n"):
        with open(path, "r+b") as file:
            file.truncate(text.rfind(b"\n") + 1)
