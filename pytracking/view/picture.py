"""The picture of a frame that videos, windows and image folders show: the image with its targets drawn."""

from __future__ import annotations

import numpy as np

from pytracking.utils.density_overlay import draw_density
from pytracking.utils.drawing import BOX, GROUND_TRUTH, Colour, draw_box, draw_dot, draw_label, enlarge, label_size
from pytracking.view.base import NOT_STARTED, Target, TrackedFrame

# The box's red, then colours that differ from it and from each other, on dark and bright pictures.
PALETTE: tuple[Colour, ...] = (
    BOX, (86, 180, 233), (240, 228, 66), (0, 158, 115), (204, 121, 167), (230, 159, 0), (0, 90, 200), (140, 230, 90),
    (170, 90, 255), (0, 220, 210),
)  # fmt: skip


def target_colour(number: int) -> Colour:
    """Colour of the target with this number, from 0. There are ten; they repeat, beside the target's name."""
    return PALETTE[number % len(PALETTE)]


def draw_frame(frame: TrackedFrame, scale: float = 1.0, density: bool = True) -> np.ndarray:
    """Draw a frame with its boxes, the annotated ones in white, and a caption.

    Args:
        frame: its image is not changed.
        scale: enlarges the picture. Lines and letters follow the picture's size.
        density: draw the densities that targets come with.

    Returns:
        uint8 (H * scale, W * scale, 3) RGB.
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
    """Height of letters, in pixels, that can be read on a picture of this size and do not cover it."""
    return int(np.clip(round(min(canvas.shape[:2]) / 28), 9, 40))


def _draw_tag(canvas: np.ndarray, target: Target, colour: Colour, size: int, scale: float) -> None:
    """Write the target's name, and its flag unless normal, above its box, or inside if there is no room."""
    x, y = np.asarray(target.output.box[:2], np.float64) * scale
    if not np.isfinite((x, y)).all():
        return
    text = target.name if target.output.flag == "normal" else f"{target.name} {target.output.flag}"
    width, height = label_size(text, size)
    rows, columns = canvas.shape[:2]
    above = y - height - 2
    left = np.clip(x, 0, max(0, columns - width))
    top = np.clip(above if above >= 0 else y + 2, 0, max(0, rows - height))
    red, green, blue = (round(0.6 * value + 0.4 * 255) for value in colour)  # bright, for the dark plate
    draw_label(canvas, text, (round(left), round(top)), (red, green, blue), size)


def _draw_caption(canvas: np.ndarray, frame: TrackedFrame, size: int) -> None:
    """Write the title, the frame's number, and a single target's score: as much of it as fits the picture's width."""
    number = f"{frame.index + 1}" if frame.total is None else f"{frame.index + 1}/{frame.total}"
    words = [frame.title, number]
    if len(frame.targets) == 1:
        output = frame.targets[0].output
        score = [] if output.flag == NOT_STARTED else [f"{output.score:.2f}"]
        words += score + ([output.flag] if output.flag != "normal" else [])
    margin = round(size * 0.4)
    room = canvas.shape[1] - 2 * margin
    for text in ("  ".join(words), "  ".join(words[1:]), number):
        if label_size(text, size)[0] <= room:
            draw_label(canvas, text, (margin, margin), size=size)
            return
