"""Polygons, rotations and affine maps of generated scenes."""

from __future__ import annotations

import cv2
import numpy as np

_FIXED_POINT = 4  # fractional bits of cv2.fillPoly's vertices


def clipped_box(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The smallest box around the part of a polygon that lies in the image.

    Args:
        polygon: (V, 2) vertices of a simple polygon.
        size: width and height of the image, [0, width] x [0, height].

    Returns:
        float64 (4,) x, y, w, h; all zero if no part lies in the image.
    """
    limit = np.array(size, float)
    inside = ((polygon >= 0) & (polygon <= limit)).all(1)
    if not inside.all():
        # the remaining part is bounded by vertices in the image, crossings of the image's border, and image corners
        points = [polygon[inside]]
        following = np.roll(polygon, -1, axis=0)
        for axis in (0, 1):
            for border in (0.0, limit[axis]):
                before, after = polygon[:, axis] - border, following[:, axis] - border
                crosses = before * after < 0
                share = (before[crosses] / (before[crosses] - after[crosses]))[:, None]
                crossing = polygon[crosses] + share * (following[crosses] - polygon[crosses])
                crossing[:, axis] = border
                other = crossing[:, 1 - axis]
                points.append(crossing[(other >= 0) & (other <= limit[1 - axis])])
        contour = polygon.astype(np.float32)
        corners = [(x, y) for x in (0.0, limit[0]) for y in (0.0, limit[1])]
        points.append(np.array([c for c in corners if cv2.pointPolygonTest(contour, c, False) > 0]).reshape(-1, 2))
        polygon = np.concatenate(points)
        if len(polygon) == 0:
            return np.zeros(4)
    low, high = polygon.min(0), polygon.max(0)
    return np.concatenate([low, high - low])


def extremes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest coordinates, (..., 2) each, of points (..., V, 2)."""
    # several times as fast as the extremes along the last axis but one
    x, y = points[..., 0], points[..., 1]
    return np.stack([x.min(-1), y.min(-1)], -1), np.stack([x.max(-1), y.max(-1)], -1)


def fill(mask: np.ndarray, polygon: np.ndarray, value: int) -> None:
    """Sets the pixels inside a polygon (V, 2) and on its edge to a value; changes `mask`, uint8 (H, W), in place."""
    cv2.fillPoly(mask, [_fixed_point(polygon)], value, shift=_FIXED_POINT)


def filled(size: tuple[int, int], polygons: list[np.ndarray], magnification: int = 1) -> np.ndarray:
    """Mask, uint8 (height, width) * magnification: 255 inside an odd number of polygons and on their edges, else 0."""
    mask = np.zeros((size[1] * magnification, size[0] * magnification), np.uint8)
    cv2.fillPoly(mask, [_fixed_point(p * magnification) for p in polygons], 255, shift=_FIXED_POINT)
    return mask


def _fixed_point(polygon: np.ndarray) -> np.ndarray:
    """A polygon (V, 2) in the coordinates of cv2.fillPoly: relative to pixel centres, in fractions of a pixel."""
    return np.round((polygon - 0.5) * 2**_FIXED_POINT).astype(np.int32)


def rotation(degrees: float | np.ndarray) -> np.ndarray:
    """(..., 2, 2) rotation matrices of angles (...,)."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.empty(np.shape(angle) + (2, 2))
    matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 0], matrix[..., 1, 1] = cos, -sin, sin, cos
    return matrix


def affine(linear: np.ndarray, shift: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """linear @ (x, y) + shift for arrays that broadcast together, in single precision."""
    x, y = x.astype(np.float32), y.astype(np.float32)
    (a, b), (c, d) = linear.tolist()
    e, f = shift.tolist()
    return a * x + (b * y + e), c * x + (d * y + f)
