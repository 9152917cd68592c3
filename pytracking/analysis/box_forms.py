"""Recognises boxes of another form than x, y, w, h: by the first one, which a one-pass run takes from the annotation.

Nothing is converted: :func:`first_box_notes` says which form would fit, and the user decides.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ltr.common.listing import some
from pytracking.analysis.metrics import valid_frames

_ROUNDED = 0.51  # pixels that rounding can change
_ONE = 1.01  # pixels between two conventions, such as the right side inside or outside

_CORNERS = np.array(
    [[1, 0, 0, 0], [0, 1, 0, 0], [-1, 0, 1, 0], [0, -1, 0, 1.0]]
)  # left, top, right, bottom to x, y, w, h
_CENTRE = np.array([[1, 0, -0.5, 0], [0, 1, 0, -0.5], [0, 0, 1, 0], [0, 0, 0, 1.0]])

_CONVERT = "convert the files to x, y, w, h in pixels"
REMEDIES = {
    "pixels from 0": "add 1 to x and y",
    "pixels from 1": "subtract 1 from x and y",
    "corners (left, top, right, bottom)": _CONVERT,
    "centre and size (cx, cy, w, h)": _CONVERT,
    "rows and columns (y, x, h, w)": _CONVERT,
    "fractions of the image (x, y, w, h)": _CONVERT,
    "fractions of the image, as corners": _CONVERT,
    "fractions of the image, with the centre (cx, cy, w, h)": _CONVERT,
    "boxes in images of another size": _CONVERT,
}
"""What to do about files of each form."""


def form_of(boxes: np.ndarray, truth: np.ndarray) -> str | None:
    """The form, a key of :data:`REMEDIES`, in which the first box would be the annotated one.

    Args:
        boxes: (M, 4), a tracker's.
        truth: (N, 4), as annotated.

    Returns:
        '' if the box is the annotated one, rounded or truncated perhaps, or the first frame has no annotation; None if
        it is in no known form.
    """
    first, target = np.asarray(boxes[0], np.float64), np.asarray(truth[0], np.float64)
    if not valid_frames(target[None])[0] or is_annotated_box(first, target):
        return ""
    fits: list[tuple[str, Callable[[], bool]]] = [
        ("pixels from 0", lambda: _near(first + [1, 1, 0, 0], target, _ROUNDED)),
        ("pixels from 1", lambda: _near(first - [1, 1, 0, 0], target, _ROUNDED)),
        ("corners (left, top, right, bottom)", lambda: _near(_CORNERS @ first, target, _ONE)),
        ("centre and size (cx, cy, w, h)", lambda: _near(_CENTRE @ first, target, _ONE)),
        ("rows and columns (y, x, h, w)", lambda: _near(first[[1, 0, 3, 2]], target, _ONE)),
        ("fractions of the image (x, y, w, h)", lambda: _fractions(first, first, target)),
        ("fractions of the image, as corners", lambda: _fractions(first, _CORNERS @ first, target)),
        ("fractions of the image, with the centre (cx, cy, w, h)", lambda: _fractions(first, _CENTRE @ first, target)),
        ("boxes in images of another size", lambda: _scaled(first, target, same=True)),
    ]
    return next((form for form, fit in fits if fit()), None)


def is_annotated_box(box: np.ndarray, annotated: np.ndarray) -> bool:
    """Whether a box, (4,), is the annotated one, rounded or truncated perhaps."""
    off = annotated - box
    return bool((np.abs(off) <= _ROUNDED).all() or ((off >= 0) & (off < 1)).all())


def first_box_notes(tracker: str, forms: dict[str, str | None]) -> list[str]:
    """What to say about a tracker whose boxes have these forms, by sequence, see :func:`form_of`."""
    notes = []
    for form in dict.fromkeys(forms.values()):
        names = [name for name, each in forms.items() if each == form]
        where = f"the first box of {tracker} is not the annotated one in {len(names)} of {len(forms)} sequences"
        if form is None:
            notes.append(f"{where} ({some(names, 3)}), in no known form; was it run from another box or data set?")
        elif form:
            notes.append(
                f"{where} ({some(names, 3)}); it would be if these files hold {form}, and then its scores are wrong: "
                f"{REMEDIES[form]}"
            )
    return notes


def _near(box: np.ndarray, target: np.ndarray, pixels: float) -> bool:
    return bool((np.abs(box - target) <= pixels).all())


def _scaled(box: np.ndarray, target: np.ndarray, same: bool = False) -> bool:
    """Whether one factor for x and one for y, or the `same` for both, make `box` the target."""
    if not (box[2:] > 0).all():
        return False
    factors = target[2:] / box[2:]
    if same and (not 0.97 < factors[0] / factors[1] < 1.03 or 0.9 < factors[0] < 1.1):
        return False
    position = box[:2] * factors
    return bool((np.abs(position - target[:2]) <= 2 + 0.02 * np.abs(target[:2])).all())


def _fractions(first: np.ndarray, box: np.ndarray, target: np.ndarray) -> bool:
    return bool((first >= -0.01).all() and (first <= 1.01).all() and _scaled(box, target))
