"""A progress bar that writes few lines if stderr is a log file and not a terminal."""

from __future__ import annotations

import os

from tqdm import tqdm

_SECONDS = 0.5 if os.isatty(2) else 30


def progress_bar(total: int, description: str, unit: str, done: int = 0, leave: bool = True, show: bool = True) -> tqdm:
    """A progress bar.

    Args:
        total: units of work.
        description: its title.
        unit: name of a unit.
        done: units that are done already.
        leave: whether the bar stays on the screen at the end.
        show: whether there is a bar at all.
    """
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
