"""Many images on one sheet, with a title, a legend and a note."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pytracking.utils.drawing import INK, PAPER, Colour, fit_in, load_font


def contact_sheet(
    images: Sequence[np.ndarray],
    columns: int,
    title: str = "",
    legend: Mapping[str, Colour] | None = None,
    note: str = "",
    gap: int = 6,
) -> np.ndarray:
    """Arrange images in rows of `columns`, below a title and a legend of coloured names, above a note in small print.

    Images of another size than the first are scaled into its frame.

    Args:
        images: uint8 (H, W, 3) RGB.
        columns: images in a row.
        title: none if empty.
        legend: colour by name.
        note: none if empty.
        gap: pixels between images.

    Raises:
        ValueError: if there is no image.
    """
    if not images:
        raise ValueError("a contact sheet needs at least one image")
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    height, width = images[0].shape[:2]
    margin = 3 * gap
    sheet_width = columns * width + (columns - 1) * gap + 2 * margin
    header = _header(sheet_width, margin, title, legend or {})
    footer = _footer(sheet_width, margin, note)
    body = np.full((rows * height + (rows - 1) * gap, sheet_width, 3), PAPER, np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        y, x = row * (height + gap), margin + column * (width + gap)
        body[y : y + height, x : x + width] = fit_in(image, width, height, PAPER)
    if not len(header):
        header = np.full((margin, sheet_width, 3), PAPER, np.uint8)
    return np.concatenate([header, body, footer])


def _header(width: int, margin: int, title: str, legend: Mapping[str, Colour]) -> np.ndarray:
    """The title on the left, and the legend beside it on the right, or on a line of its own if it does not fit."""
    title_font, legend_font = load_font(20, bold=True), load_font(16)
    swatch, space = 26, 22
    title_width = title_font.getlength(title)
    legend_width = sum(swatch + 8 + legend_font.getlength(name) for name in legend) + space * max(0, len(legend) - 1)
    if not title and not legend:
        return np.empty((0, width, 3), np.uint8)
    line = 28
    two_lines = bool(title and legend) and title_width + legend_width + space > width - 2 * margin
    canvas = Image.new("RGB", (width, margin + line * (1 + two_lines) + margin // 2), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((margin, margin + line / 2 - 2), title, font=title_font, fill=INK, anchor="lm")
    x = float(margin) if two_lines or not title else width - margin - legend_width
    y = margin + line * two_lines + line / 2 - 2
    for name, colour in legend.items():
        draw.rounded_rectangle((x, y - 6, x + swatch, y + 6), radius=3, fill=colour, outline=INK, width=1)
        draw.text((x + swatch + 8, y), name, font=legend_font, fill=INK, anchor="lm")
        x += swatch + 8 + legend_font.getlength(name) + space
    return np.asarray(canvas)


def _footer(width: int, margin: int, note: str) -> np.ndarray:
    font = load_font(14)
    lines = list(_wrapped(note, font, width - 2 * margin))
    canvas = Image.new("RGB", (width, margin + (20 * len(lines) + margin // 2 if lines else 0)), PAPER)
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        draw.text((margin, margin / 2 + 20 * number + 10), line, font=font, fill=(70, 74, 80), anchor="lm")
    return np.asarray(canvas)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> Iterable[str]:
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            yield line
            longer = word
        line = longer
    if line:
        yield line
