"""Square search regions cut out of an image: one geometry for training and tracking.

Boxes are in pixel-edge coordinates: the first pixel of an image covers [0, 1]. A crop is an axis-aligned square of the
image, resized to a square patch. A point p of the image lies exactly at (p - corner) / scale of the patch; the crop is
not rounded to whole pixels. Beyond the image's border its outermost pixels repeat.

An image may have been read at a reduced size, or be seen stretched. Its pixels are then larger, or not square, in the
coordinates of boxes and crops. Such an image is resampled once, with the crop.

PyTracking rounds crops to whole pixels and maps boxes into them by three formulas that differ by up to half a pixel
(one in training, one each way in tracking). One exact mapping avoids the difference; for networks trained by
PyTracking, the tracker has one documented setting that restores it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Crop:
    """A square search region.

    Attributes:
        x, y: the region's top-left corner, in image pixels (may be negative or fractional).
        size: its side, in image pixels.
        output: side of the resized patch, in pixels.
    """

    x: float
    y: float
    size: float
    output: int

    @classmethod
    def around(cls, center: tuple[float, float], size: float, output: int) -> "Crop":
        """The crop of side `size` about `center` (x, y)."""
        size = max(float(size), 1.0)
        return cls(float(center[0]) - size / 2, float(center[1]) - size / 2, size, output)

    @property
    def scale(self) -> float:
        """Image pixels per patch pixel."""
        return self.size / self.output

    def to_patch(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (..., 4) as x, y, w, h from image to patch pixels."""
        return (np.asarray(boxes, dtype=np.float64) - (self.x, self.y, 0, 0)) / self.scale

    def to_image(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (..., 4) as x, y, w, h from patch to image pixels."""
        return np.asarray(boxes, dtype=np.float64) * self.scale + (self.x, self.y, 0, 0)

    def extract(self, image: np.ndarray, pixel: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
        """The patch (output, output, 3) of an image (H, W, 3), uint8, by bilinear interpolation.

        If the patch is less than half as large as its region, whole blocks of pixels are averaged first, so that large
        targets do not alias. (PyTracking takes every n-th pixel instead.)

        Args:
            image: from which the region is cut.
            pixel: width and height of the image's pixels in the crop's units: (k, k) if it was read at 1 / k of its
                size.
        """
        limits = image.shape[1], image.shape[0]
        corner, size = [self.x / pixel[0], self.y / pixel[1]], [self.size / p for p in pixel]
        blocks = [max(int(self.scale / p), 1) for p in pixel]
        if max(blocks) > 1:
            # only the part of the image that the region shows, in whole blocks
            (x0, across), (y0, down) = map(_blocks, corner, size, limits, blocks)
            part = image[y0 : y0 + down * blocks[1], x0 : x0 + across * blocks[0]]
            image = cv2.resize(part, (across, down), interpolation=cv2.INTER_AREA)
            corner = [(corner[0] - x0) / blocks[0], (corner[1] - y0) / blocks[1]]
        scale = [self.scale / (p * block) for p, block in zip(pixel, blocks, strict=True)]
        # OpenCV's coordinates count from the centres of pixels, those of this class from their edges
        shifted = [c + (0.5 * s - 0.5) for c, s in zip(corner, scale, strict=True)]
        to_source = np.array([[scale[0], 0, shifted[0]], [0, scale[1], shifted[1]]])
        patch = cv2.warpAffine(
            _with_fourth_channel(image, corner, [s * self.output for s in scale]),
            to_source,
            (self.output, self.output),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return cv2.cvtColor(patch, cv2.COLOR_RGBA2RGB)


def _with_fourth_channel(image: np.ndarray, corner: Sequence[float], size: Sequence[float]) -> np.ndarray:
    """An image (H, W, 3) as (H, W, 4), undefined where it is more than two pixels from a region.

    OpenCV 5 interpolates four channels in less than half the time of three, with the same result.
    """
    height, width = image.shape[:2]
    wide = np.empty((height, width, 4), np.uint8)
    (left, right), (top, bottom) = map(_touched, corner, size, (width, height))
    cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_RGB2RGBA, wide[top:bottom, left:right])
    return wide


def _touched(start: float, size: float, limit: int) -> tuple[int, int]:
    """First and last + 1 of the pixels, of `limit`, that interpolation in [start, start + size) may read."""
    first = int(np.clip(np.floor(start) - 2, 0, limit - 1))
    return first, int(np.clip(np.ceil(start + size) + 2, first + 1, limit))


def _blocks(start: float, size: float, limit: int, block: int) -> tuple[int, int]:
    """First pixel and number of whole blocks of [start, start + size) along a side of an image of `limit` pixels."""
    first = int(np.clip(start, 0, limit - 1))
    pixels = max(min(int(np.ceil(start + size)), limit) - first, 1)
    return first, max(pixels // block, 1)
