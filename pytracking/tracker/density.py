"""p(y | x) of a tracker's box as data: moments, credible intervals, marginals, and the plane of Figure S2.

All but the plane is estimated by importance sampling (:mod:`ebm_common.importance`), which weighs candidate boxes by
exp f(x, y) / q(y). :attr:`TrackedBoxDensity.effective_sample_size` says how reliable the estimates are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ebm_common.importance import ImportanceSample

SIDES = ("left", "top", "right", "bottom")
COORDINATES = ("left", "top", "width", "height")


@dataclass(frozen=True)
class CornerDensity:
    """p(y | x) while the box's top-right corner moves and its bottom-left corner stays (Figure S2).

    Attributes:
        x, y: (n,) positions of the corner, in image pixels.
        log_density: (n, n), rows along y, of the normalised density over the corner's positions, in pixels^-2; -inf
            where width or height of the box would be negative.
        anchor: (x, y) of the fixed bottom-left corner.
    """

    x: np.ndarray
    y: np.ndarray
    log_density: np.ndarray
    anchor: tuple[float, float]


@dataclass(frozen=True)
class TrackedBoxDensity:
    """p(y | x) over boxes. Boxes are (..., 4): x, y, w, h in pixels of the image.

    Attributes:
        box: (4,) the tracker's answer, around which the density is computed.
        corner: the density over the positions of one corner.
        sample: candidates in the network's own parametrisation, one row, on the CPU in float64.
        boxes: (M, 4) the same candidates as boxes.
        energy: takes boxes (N, 4) to f(x, y), (N,).
    """

    box: np.ndarray
    corner: CornerDensity
    sample: ImportanceSample
    boxes: np.ndarray
    energy: Callable[[np.ndarray], np.ndarray]

    @property
    def weights(self) -> np.ndarray:
        """(M,) weights of the candidates, which sum to one."""
        return self.sample.log_weight[0].exp().numpy()

    @property
    def effective_sample_size(self) -> float:
        """Number of independent draws from p(y | x) that the candidates are worth; below 30, trust no interval."""
        return float(self.sample.effective_sample_size()[0])

    def mean(self) -> np.ndarray:
        """(4,) the mean box."""
        return self.weights @ self.boxes

    def covariance(self) -> np.ndarray:
        """(4, 4) the covariance of x, y, w, h, in pixels^2."""
        off = self.boxes - self.mean()
        return (self.weights[:, None] * off).T @ off

    def intervals(self, level: float) -> np.ndarray:
        """(4, 2) the central credible interval of each side (left, top, right, bottom), in pixels.

        Args:
            level: its probability, such as 0.95; half of the rest lies below and half above.
        """
        return self.sample.credible_interval(level, torch.from_numpy(_sides(self.boxes))[None])[0].numpy()

    def cdf(self, box: np.ndarray) -> np.ndarray:
        """(4,) the probability that each side (left, top, right, bottom) lies below that of `box` (4,)."""
        return self.weights @ (_sides(self.boxes) < _sides(np.asarray(box, np.float64)))

    def level(self, box: np.ndarray) -> float:
        """The lowest level whose credible region holds `box` (4,): the probability of boxes of higher density.

        Regions are those of highest density in the network's own parametrisation, {y: f(x, y) >= c}. Of boxes drawn
        from p(y | x) itself, a share `a` has a level below `a`.
        """
        f = float(self.energy(np.asarray(box, np.float64)[None])[0])
        return min(float(self.weights[self.sample.f[0].numpy() > f].sum()), 1.0)

    def interval(self, coordinate: str, level: float) -> np.ndarray:
        """(2,) the central credible interval of one of COORDINATES, or of SIDES, in pixels; see :meth:`intervals`."""
        return self.sample.credible_interval(level, self._values(coordinate)[..., None])[0, 0].numpy()

    def marginal(self, coordinate: str, num_points: int = 128) -> tuple[np.ndarray, np.ndarray]:
        """The density of one of COORDINATES, or of SIDES, by itself.

        Returns:
            (P,) points in pixels and (P,) the density there, in pixels^-1.
        """
        grid, density = self.sample.marginal(self._values(coordinate), num_points)
        return grid[0].numpy(), density[0].numpy()

    def _values(self, coordinate: str) -> torch.Tensor:
        """(1, M) that coordinate of the candidates."""
        left, top, width, height = self.boxes.T
        values = {
            "left": left, "top": top, "width": width, "height": height, "right": left + width, "bottom": top + height
        }[coordinate]  # fmt: skip
        return torch.from_numpy(values)[None]

    def to_json(self, levels: tuple[float, ...] = (0.5, 0.8, 0.95)) -> dict[str, Any]:
        """Moments and intervals, rounded to 1e-4 pixels, as JSON types."""
        return {
            "mean": _plain(self.mean()),
            "covariance": _plain(self.covariance()),
            "intervals": {f"{level:g}": _plain(self.intervals(level)) for level in levels},
            "effective_sample_size": round(self.effective_sample_size, 1),
        }


def _sides(boxes: np.ndarray) -> np.ndarray:
    """(..., 4) x, y, w, h -> left, top, right, bottom."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def _plain(array: np.ndarray) -> list:
    return np.round(array, 4).tolist()
