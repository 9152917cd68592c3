"""Square search regions cut out of an image: the one geometry that training and tracking share.

Boxes are in pixel-edge coordinates: the first pixel of an image covers [0, 1]. A crop is an axis-aligned square of the
image resized to a square patch; a point p of the image lies at (p - corner) / scale of the patch, exactly and without
rounding the crop to whole pixels. Beyond the image's border its outermost pixels repeat.

PyTracking rounds crops to whole pixels and places boxes in them by three formulas that differ by up to half a pixel
(one in training, one each way in tracking). One exact mapping makes these questions disappear; what is left of them,
for networks trained by PyTracking, is one documented setting of the tracker.
"""

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

    def extract(self, image: np.ndarray) -> np.ndarray:
        """The patch (output, output, 3) of an image (H, W, 3), uint8, by bilinear interpolation.

        Where the patch is less than half as large as its region, whole blocks of pixels are averaged first, so that
        large targets do not alias. (PyTracking takes every n-th pixel there.)
        """
        height, width = image.shape[:2]
        x, y, scale = self.x, self.y, self.scale
        block = int(scale)
        if block > 1:
            # Only the part of the image that the region shows, in whole blocks.
            x0, y0 = (int(np.clip(v, 0, limit - 1)) for v, limit in ((x, width), (y, height)))
            columns, rows = (
                max(min(int(np.ceil(end)), limit) - start, 1)
                for end, limit, start in ((x + self.size, width, x0), (y + self.size, height, y0))
            )
            across, down = max(columns // block, 1), max(rows // block, 1)
            part = image[y0 : y0 + down * block, x0 : x0 + across * block]
            image = cv2.resize(part, (across, down), interpolation=cv2.INTER_AREA)
            x, y, scale = (x - x0) / block, (y - y0) / block, scale / block
        shift = 0.5 * scale - 0.5  # from pixel edges to the pixel centres that OpenCV counts in
        to_source = np.array([[scale, 0, x + shift], [0, scale, y + shift]])
        return cv2.warpAffine(
            image,
            to_source,
            (self.output, self.output),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
