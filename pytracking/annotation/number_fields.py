"""Numbers in files of annotations, or a sentence on what stands there instead."""

from __future__ import annotations

import math
from typing import Any

from pytracking.annotation.tracks import AnnotationError


def finite(value: Any, what: str) -> float:
    """`value`, text or number, as a finite float; `what` names its place.

    Raises:
        AnnotationError: if it is none.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        found = "is missing" if value is None else f"is {str(value)[:40]!r}, and not a finite number"
        raise AnnotationError(f"{what} {found}")
    return number


def whole(value: Any, what: str, least: int = 0) -> int:
    """`value` as a whole number that is not below `least`.

    Raises:
        AnnotationError: if it is none.
    """
    number = finite(value, what)
    if number != int(number) or number < least:
        raise AnnotationError(f"{what} is {str(value)[:40]!r}, and not a whole number from {least} on")
    return int(number)


def positive_box(values: Any, what: str) -> tuple[float, float, float, float]:
    """Four values as x, y, w, h with an area.

    Raises:
        AnnotationError: if they are none.
    """
    if not isinstance(values, list | tuple) or len(values) != 4:
        raise AnnotationError(f"{what}: a box is four numbers x, y, w, h, not {str(values)[:60]}")
    x, y, w, h = (finite(value, f"{what}: {side}") for value, side in zip(values, "xywh", strict=True))
    if w <= 0 or h <= 0:
        raise AnnotationError(f"{what}: the box ({x:g}, {y:g}, {w:g}, {h:g}) has no area")
    return x, y, w, h
