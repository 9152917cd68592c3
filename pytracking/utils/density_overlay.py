"""The density of a box's corner, laid over an image (Figure S2 of the paper)."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import cv2
import matplotlib
import numpy as np

from pytracking.utils.drawing import blend


class CornerGrid(Protocol):
    """What is drawn of a density: see :class:`pytracking.tracker.density.CornerDensity`."""

    @property
    def x(self) -> np.ndarray: ...

    @property
    def y(self) -> np.ndarray: ...

    @property
    def log_density(self) -> np.ndarray: ...


def draw_density(image: np.ndarray, density: CornerGrid, scale: float = 1.0, opacity: float = 0.9) -> None:
    """Lay the density of the box's free corner over the image; it fades into the image where the density is low.

    Colour and opacity follow the square root of the density, relative to its peak: on a linear scale little but the
    peak would be visible.

    Args:
        image: uint8 (H, W, 3) RGB, changed in place.
        density: on a regular grid, in pixels of the image before it was enlarged.
        scale: by which the image was enlarged.
        opacity: at the peak.
    """
    log_density = np.asarray(density.log_density, np.float64)
    log_density = np.where(np.isnan(log_density), -np.inf, log_density)
    peak = log_density.max()
    if not np.isfinite(peak):
        return
    share = np.exp(0.5 * (log_density - peak)).astype(np.float32)
    # Grid points lie at (left, top) + cell * (column, row); warpAffine wants (column, row) of each pixel's centre.
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
    blend(image, opacity * np.clip(share / 0.35, 0, 1), colour_map()[np.round(share * 255).astype(np.uint8)])


@lru_cache(maxsize=1)
def colour_map() -> np.ndarray:
    """uint8 (256, 3): matplotlib's perceptually uniform 'plasma', from violet at 0 to yellow at the peak."""
    return np.round(matplotlib.colormaps["plasma"](np.linspace(0.0, 1.0, 256))[:, :3] * 255).astype(np.uint8)
