"""A progress bar that writes few lines where a log file takes the place of a terminal."""

from __future__ import annotations

import os

from tqdm import tqdm

_SECONDS = 0.5 if os.isatty(2) else 30


def progress_bar(total: int, description: str, unit: str, done: int = 0, leave: bool = True, show: bool = True) -> tqdm:
    """A bar of `total` units, `done` of which are done; it stays on the screen if `leave`."""
    return tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        leave=leave,
        disable=not show,
        mininterval=_SECONDS,
        dynamic_ncols=True,
    )
