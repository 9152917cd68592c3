"""The one picture of a frame that films, windows and image folders show: the image with its targets drawn."""

from __future__ import annotations

import numpy as np

from pytracking.utils.density_overlay import draw_density
from pytracking.utils.drawing import BOX, GROUND_TRUTH, Colour, draw_box, draw_dot, draw_label, enlarge, label_size
from pytracking.view.base import Target, TrackedFrame

# The box's red first, then colours that stay apart from it and from each other, on dark and bright pictures.
PALETTE: tuple[Colour, ...] = (
    BOX, (86, 180, 233), (240, 228, 66), (0, 158, 115), (204, 121, 167), (230, 159, 0), (0, 90, 200), (140, 230, 90),
    (170, 90, 255), (0, 220, 210),
)  # fmt: skip


def target_colour(number: int) -> Colour:
    """Colour of the target with this number, from 0. There are ten; they come again, beside the target's name."""
    return PALETTE[number % len(PALETTE)]


def draw_frame(frame: TrackedFrame, scale: float = 1.0, density: bool = True) -> np.ndarray:
    """The frame with its boxes, the annotated ones in white, and a caption.

    Args:
        scale: how many times as large the picture is to be. Lines and letters follow the picture's size.
        density: whether the density is drawn of those targets that come with one.

    Returns:
        uint8 (H * scale, W * scale, 3) RGB; the frame's own image is left as it is.
    """
    canvas = enlarge(frame.image, scale)
    size = _letters(canvas)
    width = max(1.5, size / 8)
    if density:
        for target in frame.targets:
            if target.output.density is not None:
                draw_density(canvas, target.output.density.corner, scale)
    for target in frame.targets:
        if target.truth is not None:
            draw_box(canvas, target.truth, GROUND_TRUTH, 2 * width, scale)
    for number, target in enumerate(frame.targets):
        colour = target_colour(number)
        draw_box(canvas, target.output.box, colour, width, scale)
        if density and target.output.density is not None:
            draw_dot(canvas, target.output.density.corner.anchor, colour, round(2 * width), scale)
    _draw_caption(canvas, frame, size)
    if len(frame.targets) > 1:
        for number, target in enumerate(frame.targets):
            _draw_tag(canvas, target, target_colour(number), size, scale)
    return canvas


def _letters(canvas: np.ndarray) -> int:
    """Height of letters in pixels that can be read on a picture of this size and do not cover it."""
    return int(np.clip(round(min(canvas.shape[:2]) / 28), 9, 40))


def _draw_tag(canvas: np.ndarray, target: Target, colour: Colour, size: int, scale: float) -> None:
    """The target's name above its box, or inside where there is no room; with what the tracker found wrong."""
    x, y = np.asarray(target.output.box[:2], np.float64) * scale
    if not np.isfinite((x, y)).all():
        return
    text = target.name if target.output.flag == "normal" else f"{target.name} {target.output.flag}"
    width, height = label_size(text, size)
    rows, columns = canvas.shape[:2]
    above = y - height - 2
    at = np.clip((x, above if above >= 0 else y + 2), 0, (max(0, columns - width), max(0, rows - height)))
    bright = tuple(round(0.6 * value + 0.4 * 255) for value in colour)  # to be read on the dark plate
    draw_label(canvas, text, tuple(np.round(at).astype(int).tolist()), bright, size)


def _draw_caption(canvas: np.ndarray, frame: TrackedFrame, size: int) -> None:
    """Name, number of the frame, and of a single target its score: as much of it as the picture is wide."""
    number = f"{frame.index + 1}" if frame.total is None else f"{frame.index + 1}/{frame.total}"
    words = [frame.title, number]
    if len(frame.targets) == 1:
        output = frame.targets[0].output
        words += [f"{output.score:.2f}"] + ([output.flag] if output.flag != "normal" else [])
    margin = round(size * 0.4)
    room = canvas.shape[1] - 2 * margin
    for text in ("  ".join(words), "  ".join(words[1:]), number):
        if label_size(text, size)[0] <= room:
            draw_label(canvas, text, (margin, margin), size=size)
            return
