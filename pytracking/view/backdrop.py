"""Pictures of a frame as a page takes them: JPEG in a data URI, of moderate size."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np

from pytracking.utils.drawing import BOX, GROUND_TRUTH, Colour, draw_box, draw_label, enlarge, label_size
from pytracking.view.picture import draw_scene
from pytracking.view.scene import Scene

FIRST_BOX: Colour = (86, 180, 233)
SIZE = 640  # pixels of a frame's longer side, about
_PART_SIZE = 320  # the same of a part of it
_QUALITY = 85


def jpeg_uri(image: np.ndarray) -> str:
    """uint8 (H, W, 3) RGB as 'data:image/jpeg;base64,...'."""
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()


def tracking_picture(scene: Scene) -> np.ndarray:
    """The frame with the boxes of all targets: the first one, the true one and the tracker's."""
    scale = SIZE / max(scene.image.shape[:2])
    picture = draw_scene(scene, scale, density=False)
    for target in scene.targets:
        draw_box(picture, target.first_box, FIRST_BOX, 1, scale)
    legend = {"output": BOX, "truth": GROUND_TRUTH, "first box": FIRST_BOX}
    if all(target.truth is None for target in scene.targets):
        del legend["truth"]
    x = 6.0
    for name, colour in legend.items():
        width, height = label_size(name)
        draw_label(picture, name, (x, picture.shape[0] - height - 6), colour)
        x += width + 6
    return picture


def backdrop(image: np.ndarray, window: tuple[float, float, float, float]) -> dict[str, Any] | None:
    """The part of `image` within `window` (left, top, right, bottom; pixels) as an image of plotly's layout.

    None where nothing of the image is in the window.
    """
    height, width = image.shape[:2]
    left, top = max(int(np.floor(window[0])), 0), max(int(np.floor(window[1])), 0)
    right, bottom = min(int(np.ceil(window[2])), width), min(int(np.ceil(window[3])), height)
    if left >= right or top >= bottom:
        return None
    part = image[top:bottom, left:right]
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
