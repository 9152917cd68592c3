"""Where a training stands, apart from its weights and its optimiser's state."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from ltr.trainers.log import Averages
from ltr.trainers.task import Task


@dataclass
class TrainingState:
    """The position of a training, and what it has measured so far.

    Attributes:
        epoch: epochs done.
        step: optimiser steps done in the present epoch.
        skipped: steps skipped because the loss or the gradient was not finite.
        bad_in_row: those of them that follow one another up to now.
        averages: statistics of the present epoch.
        history: one entry for each epoch done.
        best: the best value of the validation statistic `Task.best`.
        seconds: time that all runs so far have spent in the present epoch.
    """

    epoch: int = 0
    step: int = 0
    skipped: int = 0
    bad_in_row: int = 0
    averages: Averages = field(default_factory=Averages)
    history: list[dict[str, Any]] = field(default_factory=list)
    best: float | None = None
    seconds: float = 0.0

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> TrainingState:
        """The state that :meth:`to_plain` wrote into a checkpoint."""
        position, (skipped, bad_in_row) = plain["position"], plain["skipped"]
        averages, history, best = Averages(plain["averages"]), plain["history"], plain["best"]
        return cls(position["epoch"], position["step"], skipped, bad_in_row, averages, history, best, plain["seconds"])

    def to_plain(self) -> dict[str, Any]:
        """The entries of a checkpoint."""
        return {
            "position": {"epoch": self.epoch, "step": self.step},
            "skipped": [self.skipped, self.bad_in_row],
            "averages": self.averages.sums,
            "history": self.history,
            "best": self.best,
            "seconds": self.seconds,
        }

    def end_epoch(self, line: dict[str, Any]) -> None:
        """Go on to the next epoch; `line` is the entry of the one that ends."""
        self.history.append(line)
        self.epoch, self.step, self.averages, self.seconds = self.epoch + 1, 0, Averages(), 0.0

    def improves(self, validation: dict[str, float], task: Task) -> bool:
        """Whether a validation is the best so far; if so, it becomes the best."""
        value = validation.get(task.best, math.nan)
        if not math.isfinite(value):
            return False
        sign = 1 if task.best_mode == "max" else -1
        if self.best is not None and sign * value <= sign * self.best:
            return False
        self.best = value
        return True
