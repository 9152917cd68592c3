"""One line of a terminal for each training in progress: the last line of its log."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from ltr.evaluation.trainings.training import Training

_TAIL = 4096  # bytes of a log that surely hold its last line
_CONTROL = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")


class Board:
    """The lines of the trainings in progress; nothing if stderr is no terminal. Use it in a `with` block."""

    def __init__(self) -> None:
        self._lines: list[tqdm] = []

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *error: object) -> None:
        self.show([])

    def show(self, trainings: Sequence[Training]) -> None:
        """Shows these trainings, and no others."""
        if not sys.stderr.isatty():
            return
        while len(self._lines) < len(trainings):
            self._lines.append(tqdm(bar_format="{desc}", position=len(self._lines), leave=False, dynamic_ncols=True))
        while len(self._lines) > len(trainings):
            self._lines.pop().close()
        for line, training in zip(self._lines, trainings, strict=True):
            line.set_description_str(f"{training.name}: {last_line(training.log)}")


def last_line(log: Path) -> str:
    """The last line of a log that is not empty; a progress bar's is the bar as it is now."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL))
            tail = _CONTROL.sub(b"", file.read())
    except OSError:
        return ""
    lines = [line.strip() for line in re.split(rb"[\r\n]", tail)]
    return next((line.decode(errors="replace") for line in reversed(lines) if line), "")
