"""How large the target is, from the refined boxes of all frames so far.

A refined box errs in its shape more than the shape of most targets changes: it takes in what the target is a part of,
or leaves out a limb. These errors last for many frames, so that a mean over time does not remove them; what does is the
one frame whose shape is known. The logarithm of the aspect ratio is taken for an Ornstein-Uhlenbeck process around that
of the first frame, and the logarithm of the scale for a random walk. With s the state and z the refined box, the filter
is a Kalman filter in its steady state:

    s <- s + gain (z - s) + return (s_first - s)

A shape that lasts is thus followed for a share gain / (gain + return) of the way.
"""

import numpy as np

from ltr.common.errors import UserError
from pytracking.tracker.atom.settings import SizeSettings


class SizeFilter:
    """The size of one target.

    Args:
        first: (w, h) in the first frame, in pixels.
        settings: gains.

    Raises:
        UserError: gains with which the filter is none.
    """

    def __init__(self, first: np.ndarray, settings: SizeSettings):
        s = settings
        if not (
            0 <= s.scale_gain <= 1 and min(s.shape_gain, s.shape_return) >= 0 and s.shape_gain + s.shape_return <= 1
        ):
            raise UserError(
                f"size.scale_gain is {s.scale_gain:g}, size.shape_gain {s.shape_gain:g} and size.shape_return "
                f"{s.shape_return:g}: all must lie between 0 and 1, and so must the sum of the last two"
            )
        self._first = _scale_and_shape(first)
        self._gain = np.array([settings.scale_gain, settings.shape_gain])
        self._return = np.array([0.0, settings.shape_return])

    def update(self, size: np.ndarray, refined: np.ndarray) -> np.ndarray:
        """The new (w, h) from the one so far and that of a refined box, all in pixels and positive."""
        state = _scale_and_shape(size)
        state = state + self._gain * (_scale_and_shape(refined) - state) + self._return * (self._first - state)
        scale, half_shape = state[0], state[1] / 2
        return np.exp([scale + half_shape, scale - half_shape])


def _scale_and_shape(size: np.ndarray) -> np.ndarray:
    """(w, h) -> (log sqrt(w h), log(w / h))."""
    w, h = np.log(size)
    return np.array([(w + h) / 2, w - h])
