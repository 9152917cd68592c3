"""Pictures of a frame as a page takes them: JPEG in a data URI, of moderate size."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np

from pytracking.utils.drawing import BOX, GROUND_TRUTH, Colour, draw_box, draw_label, enlarge, label_size
from pytracking.view.base import TrackedFrame
from pytracking.view.picture import draw_frame

FIRST_BOX: Colour = (86, 180, 233)
OUTSIDE: Colour = (58, 61, 66)
_PART_SIZE = 320  # pixels of the longer side of a part of a frame
_QUALITY = 85


def jpeg_uri(image: np.ndarray) -> str:
    """uint8 (H, W, 3) RGB as 'data:image/jpeg;base64,...'."""
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()


def tracking_picture(frame: TrackedFrame, width: int, height: int) -> np.ndarray:
    """The frame with the boxes of all targets: the first one, the true one and the tracker's.

    Args:
        width, height: pixels of the picture; the frame is centred in it.
    """
    scale = min(width / frame.image.shape[1], height / frame.image.shape[0])
    picture = draw_frame(frame, scale, density=False)[:height, :width]
    for target in frame.targets:
        draw_box(picture, target.first_box, FIRST_BOX, 1, scale)
    legend = {"output": BOX, "truth": GROUND_TRUTH, "first box": FIRST_BOX}
    if all(target.truth is None for target in frame.targets):
        del legend["truth"]
    x = 6.0
    for name, colour in legend.items():
        label_width, label_height = label_size(name)
        draw_label(picture, name, (x, picture.shape[0] - label_height - 6), colour)
        x += label_width + 6
    canvas = np.full((height, width, 3), 255, np.uint8)
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas


def backdrop(image: np.ndarray, window: tuple[float, float, float, float]) -> dict[str, Any]:
    """The part of `image` within `window` (left, top, right, bottom; pixels) as an image of plotly's layout.

    What lies outside the image is dark.
    """
    left, top = (int(np.floor(v)) for v in window[:2])
    right, bottom = (int(np.ceil(v)) for v in window[2:])
    part = np.full((bottom - top, right - left, 3), OUTSIDE, np.uint8)
    height, width = image.shape[:2]
    x, y = slice(max(left, 0), max(min(right, width), 0)), slice(max(top, 0), max(min(bottom, height), 0))
    inside = image[y, x]
    if inside.size:
        part[y.start - top : y.stop - top, x.start - left : x.stop - left] = inside
    return {
        "source": jpeg_uri(enlarge(part, _PART_SIZE / max(part.shape[:2]))),
        "xref": "x",
        "yref": "y",
        "x": left,
        "y": top,
        "sizex": right - left,
        "sizey": bottom - top,
        "sizing": "stretch",
        "layer": "below",
    }
