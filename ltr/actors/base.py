"""What every actor is: one training step of one task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class Actor(nn.Module, ABC):
    """One step of one task: a module that owns its network, and computes loss and statistics of a batch.

    Whatever it draws at random must come from the global generators (torch's on any device, numpy's, Python's): the
    trainer seeds them before every step from (seed, position), which makes resuming exact.
    """

    @abstractmethod
    def forward(self, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        """The loss of a batch on the device, a scalar mean over its samples, and scalar statistics by name.

        The names are the same for every batch of training, and for every batch of validation.
        """

    @abstractmethod
    def trainable_parameters(self) -> list[nn.Parameter]:
        """The parameters that the optimiser changes. The trainer freezes all others."""

    @abstractmethod
    def checkpoint_model(self) -> nn.Module:
        """The module whose state dict is saved. It holds all that training changes, batch-norm statistics included."""
