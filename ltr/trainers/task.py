"""What a trainer is given: a model with its loss, and data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate


class Actor(Protocol):
    """One step of one task. An actor is an `nn.Module` that owns its network.

    Whatever it draws at random must come from the global generators (torch's on any device, numpy's, Python's): the
    trainer seeds them before every step from (seed, position), which makes resuming exact.
    """

    def __call__(self, batch: Any) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Batch on the device -> scalar loss (mean over the batch), and scalar statistics by name.

        The names are the same for every batch of training, and for every batch of validation.
        """
        ...

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The parameters that the optimiser changes. The trainer freezes all others."""
        ...

    def checkpoint_model(self) -> nn.Module:
        """The module whose state dict is saved. It holds all that training changes, batch-norm statistics included."""
        ...


@dataclass
class Task:
    """A training as data.

    `train_data[k]` and `val_data[k]` are pure functions of k: every random choice about sample k is seeded by
    (seed, k). `train_data` is asked for k = epoch * samples_per_epoch + position, `val_data` for 0 .. len - 1.
    """

    actor: nn.Module  # an Actor
    train_data: Dataset
    val_data: Dataset | None = None
    collate: Callable[[list[Any]], Any] = default_collate  # list of samples -> batch
    best: str = "loss"  # validation statistic that decides which weights are best
    best_mode: Literal["min", "max"] = "min"
