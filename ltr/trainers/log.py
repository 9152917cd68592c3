"""The log of a training: TensorBoard, one JSON line per epoch, and averages of statistics."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from ltr.common.files import write_text, writing

logger = logging.getLogger(__name__)


class Averages:
    """Weighted means of named numbers, without values that are not finite."""

    def __init__(self, sums: Mapping[str, list[float]] | None = None) -> None:
        # name -> [weighted sum, weight]
        self.sums: dict[str, list[float]] = {name: list(pair) for name, pair in (sums or {}).items()}

    def add(self, values: Mapping[str, float], weight: float = 1.0) -> None:
        for name, value in values.items():
            pair = self.sums.setdefault(name, [0.0, 0.0])
            if math.isfinite(value):
                pair[0] += weight * value
                pair[1] += weight

    def means(self) -> dict[str, float]:
        return {name: (total / weight if weight else math.nan) for name, (total, weight) in self.sums.items()}


class TrainingLog:
    """Writes a run's curves to `folder/tensorboard` and its epochs to `folder/log.jsonl`.

    Args:
        folder: the run's folder.
        first_step: optimiser steps done before this run.
        enabled: whether anything is written: only in the first process.
    """

    def __init__(self, folder: Path, first_step: int, enabled: bool) -> None:
        self.folder = folder
        # purge_step hides points that an interrupted run wrote after its last checkpoint
        self.writer: SummaryWriter | None = None
        self._enabled = enabled
        self._previous_hook = threading.excepthook
        if enabled:
            threading.excepthook = self._failed_in_thread
            with self._curves():
                self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step)

    def scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Add one point per value at `step` (optimiser steps since the start of the training)."""
        with self._curves():
            for name, value in values.items():
                if self.writer is not None:
                    self.writer.add_scalar(f"{group}/{name}", value, step)

    def epochs(self, history: list[dict[str, Any]]) -> None:
        """Rewrite `log.jsonl`, one line per epoch: a resumed run neither loses nor repeats a line."""
        if self._enabled:
            text = "".join(json.dumps(_rounded(line)) + "\n" for line in history)
            path = self.folder / "log.jsonl"
            with writing(path, "choose another --workspace"):
                write_text(path, text)
            with self._curves():
                if self.writer is not None:
                    self.writer.flush()

    def close(self) -> None:
        with self._curves():
            if self.writer is not None:
                self.writer.close()
        threading.excepthook = self._previous_hook

    @contextlib.contextmanager
    def _curves(self) -> Iterator[None]:
        """A block that writes curves: if they cannot be written, the training goes on without them."""
        try:
            yield
        except OSError as error:
            self.writer = None
            reason = error.strerror or error
            logger.warning("the curves in %s cannot be written from here on: %s", self.folder / "tensorboard", reason)

    def _failed_in_thread(self, failure: threading.ExceptHookArgs) -> None:
        """TensorBoard writes in a thread of its own, and raises the same error in the next call of the writer."""
        if not (isinstance(failure.exc_value, OSError) and type(failure.thread).__module__.startswith("tensorboard")):
            self._previous_hook(failure)


def _rounded(value: Any) -> Any:
    """Rounds floats to six digits; those that JSON cannot hold become None."""
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
