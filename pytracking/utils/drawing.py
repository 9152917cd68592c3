"""Boxes, dots and labels, drawn so that they can be read on any picture.

Images are uint8 (H, W, 3) RGB. Boxes are x, y, w, h in pixels, and the first pixel covers [0, 1]. A function called
`draw_...` draws on the array it receives. Enlarge small pictures first (:func:`enlarge`), then draw with the same
`scale`: lines stay fine and boxes keep their fractions of a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

# From Okabe and Ito's palette, distinct under every common colour blindness; the paper's red for the EBM.
GROUND_TRUTH: Colour = (255, 255, 255)
TRACKER_COLOURS: dict[str, Colour] = {"ATOM": (86, 180, 233), "ATOM*": (240, 228, 66), "EBM": (230, 40, 30)}
BOX = TRACKER_COLOURS["EBM"]

INK: Colour = (22, 24, 28)
PAPER: Colour = (255, 255, 255)
_SUBPIXEL_BITS = 4
_LEAST_HEIGHT = 480
_FAR = 30_000.0  # OpenCV draws in 32 bits of which it keeps some for itself


def whole_scale(image: np.ndarray) -> int:
    """The whole number by which a small image (H, W, 3) is enlarged to a height of about 480 pixels; otherwise 1."""
    return max(1, round(_LEAST_HEIGHT / image.shape[0]))


def enlarge(image: np.ndarray, scale: float) -> np.ndarray:
    """A copy of `image`, `scale` times as large and smooth."""
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return image.copy() if scale == 1 else cv2.resize(image, size, interpolation=method)


def fit_in(image: np.ndarray, width: int, height: int, background: Colour = (0, 0, 0)) -> np.ndarray:
    """`image`, uint8 (H, W, 3), scaled in proportion and centred before a background, uint8 (height, width, 3); `image`
    itself if it has this size."""
    if image.shape[:2] == (height, width):
        return image
    scaled = enlarge(image, min(width / image.shape[1], height / image.shape[0]))[:height, :width]
    canvas = np.full((height, width, 3), background, np.uint8)
    top, left = (height - scaled.shape[0]) // 2, (width - scaled.shape[1]) // 2
    canvas[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return canvas


# -- boxes and dots ----------------------------------------------------------------------------------------------


def draw_box(
    image: np.ndarray, box: Sequence[float] | np.ndarray, colour: Colour = BOX, width: float = 2, scale: float = 1.0
) -> None:
    """Outline `box` with a line `width` pixels wide and dark edges. A box that is not finite is not drawn."""
    x, y, w, h = np.asarray(box, np.float64) * scale
    if not np.isfinite((x, y, w, h)).all():
        return
    for line_colour, line_width in ((INK, width + 2), (colour, width)):
        out, rows, columns = line_width / 2, image.shape[0], image.shape[1]
        outer = _coverage(y - out, y + h + out, rows), _coverage(x - out, x + w + out, columns)
        inner = _coverage(y + out, y + h - out, rows), _coverage(x + out, x + w - out, columns)
        for part in _ring(outer, inner):
            alpha = outer[0][part[0], None] * outer[1][part[1]] - inner[0][part[0], None] * inner[1][part[1]]
            blend(image[part], alpha, line_colour)


def _ring(outer: tuple[np.ndarray, np.ndarray], inner: tuple[np.ndarray, np.ndarray]) -> Iterable[tuple[slice, slice]]:
    """Four rectangles that hold all pixels of `outer` except those wholly in `inner`; both are coverages of rows and
    columns. The cost of a line then follows its length, not the area it surrounds."""
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
    """First and one past the last of the true values, which have no gap; 0, 0 if all are false."""
    where = np.flatnonzero(mask)
    return (int(where[0]), int(where[-1]) + 1) if len(where) else (0, 0)


def _coverage(low: float, high: float, pixels: int) -> np.ndarray:
    """(pixels,): the share of each pixel of a row that lies between `low` and `high`."""
    left = np.arange(pixels)
    return np.clip(np.minimum(left + 1, high) - np.maximum(left, low), 0.0, 1.0)


def blend(image: np.ndarray, alpha: np.ndarray, colour: Colour | np.ndarray) -> None:
    """Lay `colour`, one or (H, W, 3), over `image` with opacity `alpha` (H, W)."""
    where = alpha > 0
    share = alpha[where][:, None]
    over = colour[where] if isinstance(colour, np.ndarray) else np.array(colour)
    image[where] = np.round(image[where] * (1 - share) + over * share)


def draw_dot(
    image: np.ndarray, at: Sequence[float] | np.ndarray, colour: Colour = BOX, radius: int = 4, scale: float = 1.0
) -> None:
    """Draw a dot at `at` (x, y), with a light rim."""
    at = np.clip(np.asarray(at, np.float64) * scale, -_FAR, _FAR)
    center = np.round((at - 0.5) * 2**_SUBPIXEL_BITS).astype(int).tolist()  # OpenCV counts from a pixel's centre
    for dot_colour, dot_radius in ((INK, radius + 2), (PAPER, radius + 1), (colour, radius - 0.5)):
        cv2.circle(
            image, center, round(dot_radius * 2**_SUBPIXEL_BITS), dot_colour, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS
        )


# -- labels ------------------------------------------------------------------------------------------------------


def draw_label(
    image: np.ndarray, text: str, at: tuple[float, float] = (6, 6), colour: Colour = PAPER, size: int = 13
) -> None:
    """Write `text` in `colour` on a dark plate, its top-left corner at `at`, in one line."""
    font, text = load_font(size), _one_line(text)
    width, height = label_size(text, size)
    pad = _padding(size)
    x, y = at
    # Only the part under the plate is copied: copying a whole large picture would take longer than all else.
    left, top = max(0, math.floor(x)), max(0, math.floor(y))
    part = image[top : math.ceil(y + height) + 1, left : math.ceil(x + width) + 1]
    if not part.size:
        return
    canvas = Image.fromarray(part)
    draw = ImageDraw.Draw(canvas, "RGBA")
    x, y = x - left, y - top
    draw.rounded_rectangle((x, y, x + width, y + height), radius=pad, fill=(*INK, 190))
    draw.text((x + pad - font.getbbox(text)[0], y + pad / 2), text, font=font, fill=(*colour, 255))
    part[:] = np.asarray(canvas)


def label_size(text: str, size: int = 13) -> tuple[float, float]:
    """Width and height in pixels of what :func:`draw_label` draws."""
    font = load_font(size)
    left, _, right, _ = font.getbbox(_one_line(text))
    ascent, descent = font.getmetrics()
    pad = _padding(size)
    return right - left + 2 * pad, ascent + descent + pad


def _one_line(text: str) -> str:
    """The text without line breaks and control characters, which a file name may have."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _padding(size: int) -> int:
    return round(size * 0.35)


@lru_cache(maxsize=16)
def load_font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)
