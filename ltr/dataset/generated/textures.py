"""Photographs as textures: warped without aliasing."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ltr.dataset.generated.photographs import load_photograph


class Texture:
    """An image and its copies reduced by 2, 4 and 8, for warping without aliasing.

    Args:
        image: uint8 (H, W, 3).
    """

    def __init__(self, image: np.ndarray):
        self.levels = [image]
        while len(self.levels) < 4 and min(self.levels[-1].shape[:2]) >= 16:
            height, width = self.levels[-1].shape[:2]
            half = cv2.resize(self.levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            self.levels.append(half)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the full image."""
        return self.levels[0].shape[1], self.levels[0].shape[0]

    def warp(self, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """The image warped by an affine map.

        Args:
            matrix: (2, 3) map from continuous coordinates of the image to those of the result.
            size: width and height of the result.

        Returns:
            uint8 (height, width, 3). Beyond its border the image is mirrored.
        """
        image, reduction = self._level(matrix[:, :2])
        linear = matrix[:, :2] * reduction
        # OpenCV counts from pixel centres
        shift = matrix[:, 2] - 0.5 + linear @ (0.5, 0.5)
        return cv2.warpAffine(
            image, np.column_stack([linear, shift]), size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )

    def sample(self, x: np.ndarray, y: np.ndarray, linear: np.ndarray) -> np.ndarray:
        """The image's colours at given positions, one for each pixel of the result.

        Args:
            x, y: float32 (height, width), continuous coordinates of the image for the pixels' centres.
            linear: (2, 2) approximate magnification of the image there.

        Returns:
            uint8 (height, width, 3). Beyond its border the image is mirrored.
        """
        image, reduction = self._level(linear)
        # OpenCV counts from pixel centres
        x, y = (cv2.addWeighted(a, 1 / r, a, 0, -0.5) for a, r in zip((x, y), reduction, strict=True))
        return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)

    def _level(self, linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The reduced copy that suits a magnification (2, 2), and how much smaller it is, (2,)."""
        magnification = np.sqrt(abs(np.linalg.det(linear)))
        level = int(np.clip(np.floor(-np.log2(max(magnification, 1e-6)) + 0.25), 0, len(self.levels) - 1))
        image = self.levels[level]
        return image, np.array(self.size) / (image.shape[1], image.shape[0])


@lru_cache(maxsize=32)
def photo_texture(photo: str | Path) -> Texture:
    """The texture of a photograph, given its name or file. The last few textures are cached."""
    return Texture(load_photograph(photo))
