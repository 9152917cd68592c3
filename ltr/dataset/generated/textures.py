"""Photographs as textures: warped without aliasing."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
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
        levels = [image]
        while len(levels) < 4 and min(levels[-1].shape[:2]) >= 16:
            height, width = levels[-1].shape[:2]
            levels.append(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
        # OpenCV 5 interpolates four channels in less than half the time of three, with the same result
        self._levels = [cv2.cvtColor(level, cv2.COLOR_RGB2RGBA) for level in levels]

    @property
    def image(self) -> np.ndarray:
        """The full image, uint8 (H, W, 3)."""
        return self._levels[0][..., :3]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the full image."""
        return self._levels[0].shape[1], self._levels[0].shape[0]

    @property
    def num_bytes(self) -> int:
        """Memory of the image and its copies."""
        return sum(level.nbytes for level in self._levels)

    def warp(self, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """The image warped by an affine map.

        Args:
            matrix: (2, 3) map from continuous coordinates of the image to those of the result.
            size: width and height of the result.

        Returns:
            uint8 (height, width, 4), RGB and 255. Beyond its border the image is mirrored.
        """
        image, reduction = self._level(matrix[:, :2])
        linear = matrix[:, :2] * reduction
        to_result = from_centres(np.column_stack([linear, matrix[:, 2]]))
        return cv2.warpAffine(image, to_result, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)

    def sample(self, x: np.ndarray, y: np.ndarray, linear: np.ndarray) -> np.ndarray:
        """The image's colours at given positions, one for each pixel of the result.

        Args:
            x, y: float32 (height, width), continuous coordinates of the image for the pixels' centres.
            linear: (2, 2) approximate magnification of the image there.

        Returns:
            uint8 (height, width, 4), RGB and 255. Beyond its border the image is mirrored.
        """
        image, reduction = self._level(linear)
        # OpenCV counts from pixel centres
        x, y = (cv2.addWeighted(a, 1 / r, a, 0, -0.5) for a, r in zip((x, y), reduction, strict=True))
        return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)

    def _level(self, linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The reduced copy that suits a magnification (2, 2), and how much smaller it is, (2,)."""
        magnification = np.sqrt(abs(linear[0, 0] * linear[1, 1] - linear[0, 1] * linear[1, 0]))
        level = int(np.clip(np.floor(-np.log2(max(magnification, 1e-6)) + 0.25), 0, len(self._levels) - 1))
        image = self._levels[level]
        return image, np.array(self.size) / (image.shape[1], image.shape[0])


def from_centres(matrix: np.ndarray) -> np.ndarray:
    """Maps (..., 2, 3) between continuous coordinates as OpenCV needs them, which counts from the centres of pixels."""
    linear = matrix[..., :2]
    return np.concatenate([linear, (matrix[..., 2] - 0.5 + linear @ (0.5, 0.5))[..., None]], -1)


@dataclass(frozen=True)
class Photograph:
    """The texture of a photograph, which is read when it is used: thousands of scenes do not hold theirs in memory.

    Attributes:
        photo: name of a packaged photograph, or an image file.
    """

    photo: str | Path

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the photograph."""
        return photo_texture(self.photo).size

    def warp(self, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """As :meth:`Texture.warp`."""
        return photo_texture(self.photo).warp(matrix, size)

    def sample(self, x: np.ndarray, y: np.ndarray, linear: np.ndarray) -> np.ndarray:
        """As :meth:`Texture.sample`."""
        return photo_texture(self.photo).sample(x, y, linear)


_CACHED_BYTES = 2**27  # a few dozen photographs of the largest size, or hundreds of small ones
_cache: OrderedDict[str | Path, Texture] = OrderedDict()


def photo_texture(photo: str | Path) -> Texture:
    """The texture of a photograph, given its name or file. Those used last are cached."""
    if photo in _cache:
        _cache.move_to_end(photo)
        return _cache[photo]
    texture = Texture(load_photograph(photo))
    _cache[photo] = texture
    while len(_cache) > 1 and sum(cached.num_bytes for cached in _cache.values()) > _CACHED_BYTES:
        _cache.popitem(last=False)
    return texture
