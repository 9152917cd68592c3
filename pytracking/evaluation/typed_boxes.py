"""Checks boxes that a user typed: those that a tracker could start from, but that cannot be meant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ltr.common.errors import UserError
from pytracking.tracker.base import check_first_box

SMALLEST_SIDE = 2.0
"""Pixels: a narrower or lower box is refused."""


def check_typed_box(box: Sequence[float], image: np.ndarray) -> np.ndarray:
    """`box` as float64 (4,), x, y, w, h in pixels of the image.

    Raises:
        UserError: if no target can be there (:func:`check_first_box`), or the box is narrower or lower than two pixels,
            or lies for the most part outside the image. If it looks like fractions of the image or like corners, the
            message has it in pixels.
    """
    height, width = image.shape[:2]
    try:
        found = check_first_box(np.array(box), image)
    except UserError as error:
        raise UserError(f"{error}{_as_corners(box, width, height)}") from None
    x, y, w, h = found
    text = ", ".join(f"{value:g}" for value in found)
    size = f"the image, which is {width} x {height} pixels"
    if (found >= 0).all() and (found <= 1).all():
        pixels = _text(found * [width, height, width, height])
        raise UserError(f"the first box ({text}) looks like fractions of {size}; in pixels it is --box {pixels}")
    if min(w, h) < SMALLEST_SIDE:
        raise UserError(
            f"the first box ({text}) is {w:g} x {h:g} pixels of {size}; it needs {SMALLEST_SIDE:g} or more each way: "
            "give x y w h in pixels, or a larger box"
        )
    inside = (min(x + w, width) - max(x, 0)) * (min(y + h, height) - max(y, 0))
    if inside < 0.5 * w * h:
        raise UserError(
            f"only {100 * inside / (w * h):.0f}% of the first box ({text}) lies inside {size}; give x y w h in pixels, "
            f"of the part that is visible{_as_corners(box, width, height)}"
        )
    return found


def _as_corners(box: Sequence[float], width: int, height: int) -> str:
    """The box in pixels, in words, if it could be the left, top, right and bottom side; else nothing."""
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        return ""
    return f"; if these are left, top, right, bottom, give --box {_text([left, top, right - left, bottom - top])}"


def _text(box: Sequence[float] | np.ndarray) -> str:
    return " ".join(f"{round(float(value), 2):g}" for value in box)
