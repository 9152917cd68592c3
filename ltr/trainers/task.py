"""What a trainer is given: an actor, which owns the network and its loss, and data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch.utils.data import Dataset, default_collate

from ltr.actors.base import Actor


@dataclass
class Task:
    """A training as data.

    `train_data[k]` and `val_data[k]` are pure functions of k: every random choice about sample k is seeded by
    (seed, k). The trainer reads `train_data` at k = epoch * samples_per_epoch + position, `val_data` at 0 .. len - 1.
    """

    actor: Actor
    train_data: Dataset
    val_data: Dataset | None = None
    collate: Callable[[list[Any]], Any] = default_collate
    """List of samples -> batch."""
    best: str = "loss"
    """The validation statistic that decides which weights are best."""
    best_mode: Literal["min", "max"] = "min"
