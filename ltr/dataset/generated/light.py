"""Illumination of a generated scene."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ltr.dataset.generated.waves import Wave


@dataclass(frozen=True)
class Light:
    """Illumination at a time: the image is multiplied by 2 ** exposure * tint * shadow.

    Attributes:
        exposure: in stops.
        tint: one factor a channel.
        shadow_depth: share of the light that the shadow takes away; 0 for no shadow.
        shadow_angle: direction across the shadow's edge, in degrees.
        shadow_position: position of the edge along that direction: 0 at the image's centre, 1 half a diagonal away.
    """

    exposure: Wave = Wave()
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shadow_depth: float = 0.0
    shadow_angle: float = 0.0
    shadow_position: Wave = Wave()

    def apply(
        self,
        image: np.ndarray,
        time: float,
        size: tuple[int, int] | None = None,
        corner: tuple[int, int] = (0, 0),
    ) -> np.ndarray:
        """`image`, float32 or uint8 (H, W, 3), in this light: uint8.

        Args:
            image: a whole image, or a part of one.
            size: width and height of the whole; the image's own if None.
            corner: where the part begins (x, y).
        """
        factors = 2.0 ** float(self.exposure(time)) * np.array(self.tint)
        if self.shadow_depth == 0:
            table = np.arange(256)[:, None] * factors
            table = np.clip(np.round(table), 0, 255).astype(np.uint8)
            return image if (factors == 1).all() else cv2.LUT(image, table[None])
        width, height = size or (image.shape[1], image.shape[0])
        # the edge is soft, so a small map is accurate enough
        columns, rows = np.meshgrid(np.linspace(-1, 1, 32) * width, np.linspace(-1, 1, 24) * height)
        angle = np.deg2rad(self.shadow_angle)
        across = (columns * np.cos(angle) + rows * np.sin(angle)) / np.hypot(width, height)
        shadow = 1 / (1 + np.exp(-np.clip((across - float(self.shadow_position(time))) / 0.06, -30, 30)))
        field = ((1 - self.shadow_depth * shadow)[..., None] * factors).astype(np.float32)
        (left, top), (shown_height, shown_width) = corner, image.shape[:2]
        field = cv2.resize(field, (width, height))[top : top + shown_height, left : left + shown_width]
        return cv2.multiply(image, field, dtype=cv2.CV_8U)
