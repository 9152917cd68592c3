"""The target's size, filtered from the refined boxes of all frames so far.

The shape of refined boxes errs more than the shape of most targets changes: a box covers more than the target, or
leaves out a limb. Such errors last for many frames, so that an average over time does not remove them; the known shape
of the first frame does. The filter models the logarithm of the aspect ratio as an Ornstein-Uhlenbeck process around
that of the first frame, and the logarithm of the scale as a random walk. With the state s and the refined box z, it is
a Kalman filter in its steady state:

    s <- s + gain (z - s) + return (s_first - s)

It follows a lasting change of shape for a share gain / (gain + return) of the way.
"""

import numpy as np

from pytracking.tracker.atom.settings import SizeSettings


class SizeFilter:
    """The size of one target.

    Args:
        first: (w, h) in the first frame, in pixels.
        settings: gains.
    """

    def __init__(self, first: np.ndarray, settings: SizeSettings):
        self._first = _scale_and_shape(first)
        self._gain = np.array([settings.scale_gain, settings.shape_gain])
        self._return = np.array([0.0, settings.shape_return])

    def update(self, size: np.ndarray, refined: np.ndarray) -> np.ndarray:
        """The new (w, h), from the last one and that of a refined box, all in pixels and positive."""
        state = _scale_and_shape(size)
        state = state + self._gain * (_scale_and_shape(refined) - state) + self._return * (self._first - state)
        scale, half_shape = state[0], state[1] / 2
        return np.exp([scale + half_shape, scale - half_shape])


def _scale_and_shape(size: np.ndarray) -> np.ndarray:
    """(w, h) -> (log sqrt(w h), log(w / h))."""
    w, h = np.log(size)
    return np.array([(w + h) / 2, w - h])
