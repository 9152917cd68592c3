"""Checks boxes that a user typed or annotated: those that a tracker could start from, but that cannot be meant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ltr.common.errors import UserError
from pytracking.tracker.base import check_first_box
from pytracking.utils.video import warn

SMALLEST_SIDE = 2.0
"""Pixels: a narrower or lower box is refused."""


def check_typed_box(box: Sequence[float], image: np.ndarray) -> np.ndarray:
    """`box` as float64 (4,), x, y, w, h in pixels of the image.

    A box that leaves the image, and as corners would lie in it, is taken as it is, with a warning.

    Raises:
        UserError: if no target can be there (:func:`check_first_box`), or the box is narrower or lower than two pixels,
            or lies for the most part outside the image. If it looks like fractions of the image or like corners, the
            message has it in pixels.
    """
    height, width = image.shape[:2]
    try:
        found = check_first_box(np.array(box), image)
    except UserError as error:
        raise UserError(f"{error}{_as_corners(box, width, height, '--box ')}") from None
    doubt, certain = box_doubt(found, image, "--box ")
    if certain:
        raise UserError(doubt)
    if doubt:
        warn(doubt)
    return found


def box_doubt(found: np.ndarray, image: np.ndarray, option: str = "") -> tuple[str, bool]:
    """Why a box cannot be meant, in one sentence; empty if it can. And whether that is certain.

    Args:
        found: (4,), x, y, w, h.
        option: stands before a box in the sentence.
    """
    height, width = image.shape[:2]
    x, y, w, h = found
    text = ", ".join(f"{value:g}" for value in found)
    size = f"the image, which is {width} x {height} pixels"
    if (found >= 0).all() and (found <= 1).all():
        pixels = _text(found * [width, height, width, height])
        return f"the first box ({text}) looks like fractions of {size}; in pixels it is {option}{pixels}", True
    if min(w, h) < SMALLEST_SIDE:
        needs = f"it needs {SMALLEST_SIDE:g} or more each way: give x y w h in pixels, or a larger box"
        return f"the first box ({text}) is {w:g} x {h:g} pixels of {size}; {needs}", True
    inside = (min(x + w, width) - max(x, 0)) * (min(y + h, height) - max(y, 0)) / (w * h)
    corners = _as_corners(found, width, height, option)
    if inside < 0.5:
        remedy = f"give x y w h in pixels, of the part that is visible{corners}"
        return f"only {100 * inside:.0f}% of the first box ({text}) lies inside {size}; {remedy}", True
    if inside < 0.9 and corners:
        return f"only {100 * inside:.0f}% of the first box ({text}) lies inside {size}{corners}", False
    return "", False


def _as_corners(box: Sequence[float] | np.ndarray, width: int, height: int, option: str) -> str:
    """The box in pixels, in words, if it could be the left, top, right and bottom side; else nothing."""
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        return ""
    return f"; if these are left, top, right, bottom, give {option}{_text([left, top, right - left, bottom - top])}"


def _text(box: Sequence[float] | np.ndarray) -> str:
    return " ".join(f"{round(float(value), 2):g}" for value in box)
