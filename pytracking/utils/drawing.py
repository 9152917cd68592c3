"""Boxes, densities, labels and contact sheets, drawn so that they can be read on any picture.

Images are uint8 (H, W, 3) RGB. Boxes are x, y, w, h in pixels, where the first pixel covers [0, 1]. A function called
`draw_...` draws on the array it is given; small pictures are to be enlarged first (:func:`enlarge`), and what is drawn
on them then given with the same `scale`, so that lines stay fine and boxes keep their fractions of a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

# From Okabe and Ito's palette, distinct under every common colour blindness; the paper's red for the EBM.
GROUND_TRUTH: Colour = (255, 255, 255)
TRACKER_COLOURS: dict[str, Colour] = {"ATOM": (86, 180, 233), "ATOM*": (240, 228, 66), "EBM": (230, 40, 30)}
BOX = TRACKER_COLOURS["EBM"]

_INK: Colour = (22, 24, 28)
_PAPER: Colour = (255, 255, 255)
_SUBPIXEL_BITS = 4
_FAR = 30_000.0  # OpenCV draws in 32 bits of which it keeps some for itself


class CornerDensity(Protocol):
    """What is shown of a density: see :class:`pytracking.tracker.density.CornerDensity`."""

    x: np.ndarray
    y: np.ndarray
    log_density: np.ndarray
    anchor: tuple[float, float]


# -- on one image ------------------------------------------------------------------------------------------------


def enlarge(image: np.ndarray, scale: float) -> np.ndarray:
    """A copy of `image`, `scale` times as large and smooth."""
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return image.copy() if scale == 1 else cv2.resize(image, size, interpolation=method)


def draw_box(
    image: np.ndarray, box: Sequence[float], colour: Colour = BOX, width: float = 2, scale: float = 1.0
) -> None:
    """Outline `box` with a line `width` pixels wide, edged with a dark seam. A box that is not finite is not drawn."""
    x, y, w, h = np.asarray(box, np.float64) * scale
    if not np.isfinite((x, y, w, h)).all():
        return
    for line_colour, line_width in ((_INK, width + 2), (colour, width)):
        out, rows, columns = line_width / 2, image.shape[0], image.shape[1]
        outer = _coverage(y - out, y + h + out, rows), _coverage(x - out, x + w + out, columns)
        inner = _coverage(y + out, y + h - out, rows), _coverage(x + out, x + w - out, columns)
        for part in _ring(outer, inner):
            alpha = outer[0][part[0], None] * outer[1][part[1]] - inner[0][part[0], None] * inner[1][part[1]]
            _blend(image[part], alpha, line_colour)


def _ring(outer: tuple[np.ndarray, np.ndarray], inner: tuple[np.ndarray, np.ndarray]) -> Iterable[tuple[slice, slice]]:
    """Four rectangles that hold all pixels of `outer` but those wholly in `inner`, so that a line costs what it is long
    and not what it surrounds. Both are coverages of rows and columns."""
    (top, bottom), (left, right) = (_extent(coverage > 0) for coverage in outer)
    (inner_top, inner_bottom), (inner_left, inner_right) = (_extent(coverage >= 1) for coverage in inner)
    if inner_top == inner_bottom or inner_left == inner_right:
        return [(slice(top, bottom), slice(left, right))]
    return [
        (slice(top, inner_top), slice(left, right)),
        (slice(inner_bottom, bottom), slice(left, right)),
        (slice(inner_top, inner_bottom), slice(left, inner_left)),
        (slice(inner_top, inner_bottom), slice(inner_right, right)),
    ]


def _extent(mask: np.ndarray) -> tuple[int, int]:
    """First and one past the last of the true ones, which have no gap; 0, 0 for none."""
    where = np.flatnonzero(mask)
    return (int(where[0]), int(where[-1]) + 1) if len(where) else (0, 0)


def _coverage(low: float, high: float, pixels: int) -> np.ndarray:
    """(pixels,): the share of each pixel of a row that lies between `low` and `high`."""
    left = np.arange(pixels)
    return np.clip(np.minimum(left + 1, high) - np.maximum(left, low), 0.0, 1.0)


def _blend(image: np.ndarray, alpha: np.ndarray, colour: Colour | np.ndarray) -> None:
    """Lay `colour` over `image` with opacity `alpha` (H, W)."""
    where = alpha > 0
    share = alpha[where][:, None]
    over = colour[where] if isinstance(colour, np.ndarray) else np.array(colour)
    image[where] = np.round(image[where] * (1 - share) + over * share)


def draw_dot(image: np.ndarray, at: Sequence[float], colour: Colour = BOX, radius: int = 4, scale: float = 1.0) -> None:
    """A dot at `at` (x, y), with a light rim."""
    at = np.clip(np.asarray(at, np.float64) * scale, -_FAR, _FAR)
    center = np.round((at - 0.5) * 2**_SUBPIXEL_BITS).astype(int).tolist()  # OpenCV counts from a pixel's centre
    for dot_colour, dot_radius in ((_INK, radius + 2), (_PAPER, radius + 1), (colour, radius - 0.5)):
        cv2.circle(
            image, center, round(dot_radius * 2**_SUBPIXEL_BITS), dot_colour, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS
        )


def draw_density(image: np.ndarray, density: CornerDensity, scale: float = 1.0, opacity: float = 0.9) -> None:
    """Lay the density of the box's free corner over the image (Figure S2), fading into it where the density is low.

    Colour and opacity follow the square root of the density, as a share of its peak: on a linear scale little but
    the peak could be seen.
    """
    log_density = np.asarray(density.log_density, np.float64)
    log_density = np.where(np.isnan(log_density), -np.inf, log_density)
    peak = log_density.max()
    if not np.isfinite(peak):
        return
    share = np.exp(0.5 * (log_density - peak)).astype(np.float32)
    # Grid points lie (left, top) + cell * (column, row); warpAffine wants (column, row) of each pixel's centre.
    x, y = np.asarray(density.x, np.float64), np.asarray(density.y, np.float64)
    to_grid = np.zeros((2, 3))
    for axis, grid in enumerate((x, y)):
        cell = (grid[-1] - grid[0]) / (len(grid) - 1)
        to_grid[axis, axis] = 1 / (cell * scale)
        to_grid[axis, 2] = (0.5 / scale - grid[0]) / cell
    height, width = image.shape[:2]
    share = cv2.warpAffine(
        share, to_grid, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT
    )
    _blend(image, opacity * np.clip(share / 0.35, 0, 1), colour_map()[np.round(share * 255).astype(np.uint8)])


@lru_cache(maxsize=1)
def colour_map() -> np.ndarray:
    """uint8 (256, 3): matplotlib's perceptually uniform 'plasma', from violet at 0 to yellow at the peak."""
    return np.round(matplotlib.colormaps["plasma"](np.linspace(0.0, 1.0, 256))[:, :3] * 255).astype(np.uint8)


def draw_label(
    image: np.ndarray, text: str, at: tuple[float, float] = (6, 6), colour: Colour = _PAPER, size: int = 13
) -> None:
    """Write `text` in `colour` on a dark plate, its top-left corner at `at`."""
    font = _font(size)
    width, height = label_size(text, size)
    pad = _padding(size)
    x, y = at
    # Only what is under the plate is touched: copying the whole of a large picture would take longer than all else.
    left, top = max(0, math.floor(x)), max(0, math.floor(y))
    part = image[top : math.ceil(y + height) + 1, left : math.ceil(x + width) + 1]
    if not part.size:
        return
    canvas = Image.fromarray(part)
    draw = ImageDraw.Draw(canvas, "RGBA")
    x, y = x - left, y - top
    draw.rounded_rectangle((x, y, x + width, y + height), radius=pad, fill=(*_INK, 190))
    draw.text((x + pad - font.getbbox(text)[0], y + pad / 2), text, font=font, fill=(*colour, 255))
    part[:] = np.asarray(canvas)


def label_size(text: str, size: int = 13) -> tuple[float, float]:
    """Width and height in pixels of what :func:`draw_label` draws."""
    font = _font(size)
    left, _, right, _ = font.getbbox(text)
    ascent, descent = font.getmetrics()
    pad = _padding(size)
    return right - left + 2 * pad, ascent + descent + pad


def _padding(size: int) -> int:
    return round(size * 0.35)


@lru_cache(maxsize=16)
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib carries."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


# -- many images -------------------------------------------------------------------------------------------------


def contact_sheet(
    images: Sequence[np.ndarray],
    columns: int,
    title: str = "",
    legend: Mapping[str, Colour] | None = None,
    note: str = "",
    gap: int = 6,
) -> np.ndarray:
    """Images in rows of `columns`, below a title and a legend of coloured names, and above a note in small print.

    Images of another size than the first are scaled into its frame.

    Raises:
        ValueError: there is no image.
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
    body = np.full((rows * height + (rows - 1) * gap, sheet_width, 3), _PAPER, np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        y, x = row * (height + gap), margin + column * (width + gap)
        body[y : y + height, x : x + width] = _fit(image, width, height)
    if not len(header):
        header = np.full((margin, sheet_width, 3), _PAPER, np.uint8)
    return np.concatenate([header, body, footer])


def _fit(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """`image` scaled, its shape kept, and centred in a frame of this size."""
    if image.shape[:2] == (height, width):
        return image
    scaled = enlarge(image, min(width / image.shape[1], height / image.shape[0]))[:height, :width]
    frame = np.full((height, width, 3), _PAPER, np.uint8)
    top, left = (height - scaled.shape[0]) // 2, (width - scaled.shape[1]) // 2
    frame[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return frame


def _header(width: int, margin: int, title: str, legend: Mapping[str, Colour]) -> np.ndarray:
    """Title on the left, legend beside it on the right where it fits, else on a line of its own."""
    title_font, legend_font = _font(20, bold=True), _font(16)
    swatch, space = 26, 22
    title_width = title_font.getlength(title)
    legend_width = sum(swatch + 8 + legend_font.getlength(name) for name in legend) + space * max(0, len(legend) - 1)
    if not title and not legend:
        return np.empty((0, width, 3), np.uint8)
    line = 28
    two_lines = bool(title and legend) and title_width + legend_width + space > width - 2 * margin
    canvas = Image.new("RGB", (width, margin + line * (1 + two_lines) + margin // 2), _PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((margin, margin + line / 2 - 2), title, font=title_font, fill=_INK, anchor="lm")
    x = float(margin) if two_lines or not title else width - margin - legend_width
    y = margin + line * two_lines + line / 2 - 2
    for name, colour in legend.items():
        draw.rounded_rectangle((x, y - 6, x + swatch, y + 6), radius=3, fill=colour, outline=_INK, width=1)
        draw.text((x + swatch + 8, y), name, font=legend_font, fill=_INK, anchor="lm")
        x += swatch + 8 + legend_font.getlength(name) + space
    return np.asarray(canvas)


def _footer(width: int, margin: int, note: str) -> np.ndarray:
    font = _font(14)
    lines = list(_wrapped(note, font, width - 2 * margin))
    canvas = Image.new("RGB", (width, margin + (20 * len(lines) + margin // 2 if lines else 0)), _PAPER)
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
