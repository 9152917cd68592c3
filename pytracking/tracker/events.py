"""What a tracker tells an observer of how it came to a box, beside the box itself.

A tracker whose :attr:`~pytracking.tracker.base.BaseTracker.observer` is set calls it with these while it works on a
frame. Nothing is computed for them without one. Positions are in pixels of the image, whose first covers [0, 1].
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ScoreMap:
    """The classifier's response over the search region.

    Attributes:
        scores: (H, W).
        region: x, y, w, h of the map in the image; the outer rows and columns are centred on its edges.
        threshold: a highest score below this is no target.
    """

    scores: np.ndarray
    region: tuple[float, float, float, float]
    threshold: float


@dataclass(frozen=True)
class RefinementPaths:
    """The boxes that climbed f, step by step.

    Attributes:
        boxes: (T + 1, M, 4) as x, y, w, h; the first are the starts, the last the ends.
        values: (T, M): f of all but the last.
        best: indices of those whose mean is the answer, best first.
        value_name: what f is: 'energy', or 'predicted IoU'.
    """

    boxes: np.ndarray
    values: np.ndarray
    best: np.ndarray
    value_name: str


@dataclass(frozen=True)
class OptimizerLoss:
    """The objective of the classifier's least squares.

    Attributes:
        losses: (K + 1,): before the first Gauss-Newton step and after each.
        stage: 'first frame' or 'update'.
    """

    losses: np.ndarray
    stage: str


Event = ScoreMap | RefinementPaths | OptimizerLoss
