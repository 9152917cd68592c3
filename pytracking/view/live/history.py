"""What is kept of a run's frames for plots over time."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np

from pytracking.tracker.events import OptimizerLoss, RefinementPaths
from pytracking.view.base import TrackedFrame

LENGTH = 1000  # frames


class History:
    """Of the first target: f of its boxes, widths of its credible intervals, and the optimiser's losses. Thread-safe.

    Attributes:
        value_name: what f is, as far as it was told.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: deque[tuple[int, float]] = deque(maxlen=LENGTH)
        self._widths: deque[tuple[int, float]] = deque(maxlen=LENGTH)
        self._losses: dict[str, OptimizerLoss] = {}
        self.value_name = "energy"

    def add(self, frame: TrackedFrame) -> None:
        target = frame.targets[0]
        value = target.output.extra.get("energy")
        with self._lock:
            if value is not None:
                self._values.append((frame.index + 1, float(value)))
            for event in target.events:
                if isinstance(event, RefinementPaths):
                    self.value_name = event.value_name
                elif isinstance(event, OptimizerLoss):
                    self._add_loss(event, frame.index + 1)

    def add_width(self, frame: int, width: float) -> None:
        """The relative width of the credible interval in a frame, from 1."""
        with self._lock:
            if not self._widths or self._widths[-1][0] < frame:
                self._widths.append((frame, width))

    @property
    def values(self) -> np.ndarray:
        """(N, 2): frame, from 1, and f."""
        with self._lock:
            return np.array(self._values).reshape(-1, 2)

    @property
    def widths(self) -> np.ndarray:
        """(N, 2): frame, from 1, and the width."""
        with self._lock:
            return np.array(self._widths).reshape(-1, 2)

    @property
    def losses(self) -> dict[str, OptimizerLoss]:
        """By name: those of the first frame, and those of the update that was seen last."""
        with self._lock:
            return dict(self._losses)

    def _add_loss(self, loss: OptimizerLoss, frame: int) -> None:
        name = loss.stage if loss.stage == "first frame" else f"update at frame {frame}"
        kept = {n: old for n, old in self._losses.items() if n == "first frame"}
        self._losses = {**kept, name: loss}
