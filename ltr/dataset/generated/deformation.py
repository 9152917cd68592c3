"""How an object bends in its own plane, as limbs do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ltr.dataset.generated.geometry import rotation
from ltr.dataset.generated.waves import Wave


@dataclass(frozen=True)
class Ripple:
    """A sine along a coordinate s that changes over time: amplitude(t) * sin(pi * (frequency * s + phase + drift * t)).

    An object spans s from -1 to 1: a frequency of 1/4 bends one end, 1/2 bends the middle or turns the ends against
    each other, and 1 makes an S. A non-zero drift, in half periods a frame, makes the wave travel.
    """

    frequency: float
    amplitude: Wave
    phase: float = 0.0
    drift: float = 0.0

    def __call__(self, s: np.ndarray, time: float | np.ndarray) -> np.ndarray:
        """Values (..., N) at coordinates `s`, in its dtype: (N,) for any shape of `time`, any shape for a scalar."""
        amplitude = self.amplitude(time)[..., None].astype(s.dtype)
        phase = np.pi * (self.phase + self.drift * np.asarray(time, float))[..., None].astype(s.dtype)
        return amplitude * np.sin(np.pi * self.frequency * s + phase)


@dataclass(frozen=True)
class Deformation:
    """How a sprite bends in its own plane, as limbs do.

    It acts in coordinates (u, v) that are rotated by `axis` and measured in units of `radius`. First each line across
    the object (constant v) swells and moves sideways, u' = u * exp(swell(v)) + bend(v); then each line along the object
    (constant u') moves lengthways, v' = v + stretch(u'). Both steps have exact inverses, so the texture can be looked
    up for every pixel, and neither folds or tears the object, whatever the amplitudes.

    Attributes:
        radius: about half the outline's size, in pixels at scale 1.
        axis: direction of u in degrees.
        bend, swell, stretch: each is the sum of its ripples.
    """

    radius: float
    axis: float = 0.0
    bend: tuple[Ripple, ...] = ()
    swell: tuple[Ripple, ...] = ()
    stretch: tuple[Ripple, ...] = ()

    @cached_property
    def frame(self) -> np.ndarray:
        """(2, 2) map from (u, v) to outline coordinates."""
        return rotation(self.axis) * self.radius

    def forward(self, points: np.ndarray, time: float | np.ndarray) -> np.ndarray:
        """Positions (..., N, 2) at `time` (...,) of points (N, 2) on or inside the undeformed outline."""
        u, v = np.linalg.solve(self.frame, points.T)
        u = u * np.exp(_sum(self.swell, v, time)) + _sum(self.bend, v, time)
        v = v + _sum(self.stretch, u, time)
        return np.stack(np.broadcast_arrays(u, v), -1) @ self.frame.T

    def backward(self, u: np.ndarray, v: np.ndarray, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Undeformed positions of the points that lie at (u, v), arrays of one shape, at `time`."""
        v = v - _sum(self.stretch, u, time)
        u = (u - _sum(self.bend, v, time)) * np.exp(-_sum(self.swell, v, time))
        return u, v


def _sum(ripples: tuple[Ripple, ...], s: np.ndarray, time: float | np.ndarray) -> np.ndarray | float:
    return sum(ripple(s, time) for ripple in ripples)


def draw_deformation(random: np.random.RandomState, extent: float, flex: float, flex_period: float) -> Deformation:
    """A random deformation: it bends in any direction, at several points, back and forth about a permanent bend.

    Args:
        extent: geometric mean of the object's width and height, in pixels at scale 1.
        flex, flex_period: as in :class:`~ltr.dataset.generated.cutouts.Cutout`.
    """

    def ripple(share: float, low: float, high: float) -> Ripple:
        """A ripple with a frequency between `low` and `high` and a `share` of the flex."""
        amplitude, period = share * flex, flex_period * random.uniform(0.85, 1.15)
        phase = random.uniform(0, 2)
        if random.uniform() < 0.3:  # a travelling wave; a phase of 2 is a whole period
            return Ripple(random.uniform(low, high), Wave(amplitude), phase, random.choice([-2, 2]) / period)
        permanent = random.uniform(0, 0.4) * amplitude
        swing = Wave(permanent, 0, (amplitude - permanent,), (period,), (random.uniform(0, 1),))
        return Ripple(random.uniform(low, high), swing, phase)

    return Deformation(
        radius=extent / 2,
        axis=random.uniform(0, 360),
        bend=(ripple(0.65, 0.25, 0.7), ripple(0.35, 0.7, 1.3)),
        swell=(ripple(0.6, 0.3, 0.9),),
        stretch=(ripple(0.4, 0.3, 0.9),),
    )
