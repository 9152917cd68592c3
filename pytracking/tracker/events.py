"""The events of a frame: how the tracker arrived at its box.

A tracker calls its :attr:`~pytracking.tracker.base.BaseTracker.observer` with these while it works on a frame. Without
an observer it does not compute them. Positions are in pixels of the image; the first one covers [0, 1].
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ScoreMap:
    """The classifier's response over the search region.

    Attributes:
        scores: (H, W).
        region: x, y, w, h of the map in the image; the outer rows and columns are centred on its edges.
        threshold: if the highest score is below it, the target is lost.
    """

    scores: np.ndarray
    region: tuple[float, float, float, float]
    threshold: float


@dataclass(frozen=True)
class RefinementPaths:
    """The boxes that climbed f, step by step.

    Attributes:
        boxes: (T + 1, M, 4) as x, y, w, h; the first are the starts, the last the ends.
        values: (T, M), f of all but the last.
        best: indices of the boxes whose mean is the answer, best first.
        value_name: name of f, 'energy' or 'predicted IoU'.
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
