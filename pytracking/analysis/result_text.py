"""Boxes and times as the text that other tools read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def boxes_text(boxes: np.ndarray, separator: str = ",", integer: bool = False) -> str:
    """A line of x, y, w, h for each of the boxes (N, 4): four decimals, or truncated, as PyTracking writes them."""
    return "".join(
        separator.join(f"{int(value)}" if integer else f"{value:.4f}" for value in box) + "\n" for box in boxes
    )


def times_text(repetitions: Sequence[np.ndarray]) -> str:
    """A line for each frame with the seconds of every repetition, (N,) each and of one length, between commas."""
    return "".join(",".join(f"{seconds:.6f}" for seconds in row) + "\n" for row in zip(*repetitions, strict=True))
