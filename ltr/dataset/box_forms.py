"""Checks of annotated boxes against the sizes of their images: boxes that cannot be meant, and other forms."""

from __future__ import annotations

import numpy as np

from ltr.dataset.base import DatasetError

LEAST_INSIDE = 0.5
"""Share of a box's area that must lie inside its image."""

_MANY = 0.1  # of the boxes
_FITS = 0.99  # of the boxes
_CERTAIN = 20  # boxes: so many do not fit another form by chance


def outside_image(boxes: np.ndarray, sizes: np.ndarray, source: object) -> np.ndarray:
    """bool (N,): which boxes have an area, less than half of which lies inside their image.

    Args:
        boxes: (N, 4), x, y, w, h in pixels.
        sizes: (N, 2), width and height of each box's image; 0 if they are not known, which passes any box.
        source: the file of the boxes, for messages.

    Raises:
        DatasetError: if many boxes reach beyond their images, and the boxes fit as corners, as centres, or as fractions
            of the image; the message names that form.
    """
    boxes, sizes = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(sizes, np.float64).reshape(-1, 2)
    area = boxes[:, 2] * boxes[:, 3]
    checked = (sizes > 0).all(1) & (boxes[:, 2:] > 0).all(1)
    low, high = np.clip(boxes[:, :2], 0, sizes), np.clip(boxes[:, :2] + boxes[:, 2:], 0, sizes)
    outside = checked & ((high - low).prod(1) < LEAST_INSIDE * area)
    form = _other_form(boxes[checked], sizes[checked], bool(outside.any()))
    if form:
        raise DatasetError(
            f"the boxes in {source} seem to be {form}, not x, y, w, h in pixels with the upper left corner x, y; "
            "convert them"
        )
    return outside


def many_outside(count: int, total: int) -> str:
    """A doubt about the form of boxes of which `count` of `total` lie outside their images; empty if they are few."""
    if count <= _MANY * total:
        return ""
    return "; so many raise the doubt whether the boxes are x, y, w, h in pixels of these images"


def _other_form(boxes: np.ndarray, sizes: np.ndarray, some_outside: bool) -> str:
    """The form other than x, y, w, h in pixels in which the boxes fit; empty if they fit as they are, or in no form."""
    if not len(boxes):
        return ""
    if boxes.min() >= 0 and boxes.max() <= 1 and sizes.min() > 2:
        return "fractions of the image"
    first, last = boxes[:, :2], boxes[:, 2:]
    beyond = (first + last > sizes + 1).any(1)
    if beyond.mean() <= _MANY or not (some_outside or len(boxes) >= _CERTAIN):
        return ""
    forms = {
        "corners x1, y1, x2, y2": (last > first) & (last <= sizes + 1) & (first >= -1),
        "centres x, y with w, h": (first - last / 2 >= -1) & (first + last / 2 <= sizes + 1),
    }
    fitting = [form for form, fits in forms.items() if fits.all(1).mean() >= _FITS]
    return " or ".join(fitting)
