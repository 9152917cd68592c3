"""What the live page is drawn from: a tracked frame, the run's history up to it, and how the run goes."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from pytracking.tracker.events import OptimizerLoss, RefinementPaths
from pytracking.view.base import NO_REQUEST, Request, TrackedFrame

HISTORY_LENGTH = 1000  # frames


class History:
    """Earlier values of the first target: f of its boxes, widths of its credible intervals, the optimiser's losses.

    Thread-safe.

    Attributes:
        value_name: what f is, as the tracker last reported.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: deque[tuple[int, float]] = deque(maxlen=HISTORY_LENGTH)
        self._widths: deque[tuple[int, float]] = deque(maxlen=HISTORY_LENGTH)
        self._losses: dict[str, OptimizerLoss] = {}
        self.value_name = "energy"

    def add(self, frame: TrackedFrame) -> None:
        """Record the frame's energy and what its events report."""
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

    def add_width(self, number: int, width: float) -> None:
        """Record the relative width of the credible intervals in a frame; `number` counts from 1."""
        with self._lock:
            if not self._widths or self._widths[-1][0] < number:
                self._widths.append((number, width))

    @property
    def values(self) -> np.ndarray:
        """(N, 2): number of the frame, from 1, and f."""
        with self._lock:
            return np.array(self._values).reshape(-1, 2)

    @property
    def widths(self) -> np.ndarray:
        """(N, 2): number of the frame, from 1, and the width."""
        with self._lock:
            return np.array(self._widths).reshape(-1, 2)

    @property
    def losses(self) -> dict[str, OptimizerLoss]:
        """By name: the losses of the first frame, and those of the last update that was reported."""
        with self._lock:
            return dict(self._losses)

    def _add_loss(self, loss: OptimizerLoss, number: int) -> None:
        name = loss.stage if loss.stage == "first frame" else f"update at frame {number}"
        kept = {n: old for n, old in self._losses.items() if n == "first frame"}
        self._losses = {**kept, name: loss}


@dataclass(frozen=True)
class Snapshot:
    """A frame to draw.

    Attributes:
        frame: as it was tracked.
        history: of the run up to it.
        with_plots: draw all blocks, not only the picture.
        request: what was requested of the tracker for this frame.
    """

    frame: TrackedFrame
    history: History
    with_plots: bool = True
    request: Request = NO_REQUEST


@dataclass(frozen=True)
class RunStatus:
    """How the run goes.

    Attributes:
        state: 'running', 'paused', 'finished' or 'stopped'.
        seconds: the tracker's time for a frame.
        skipped: number of tracked frames that the view did not draw.
    """

    state: str
    seconds: float
    skipped: int
