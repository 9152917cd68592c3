"""The classifier's memory: projected samples, their labels and weights."""

import torch
from torch import Tensor

from ltr.common.device import upload
from ltr.ops.cuda_graphs import captures


class SampleMemory:
    """A fixed number of samples whose weights decay as newer ones arrive.

    The first frame's samples are never replaced, and together never weigh less than `first_weight`. A new sample
    replaces the one of least weight among the others.

    Args:
        features: (N, C, H, W) of the first frame.
        labels: (N, H, W).
        size: largest number of samples, at least N.
        first_weight: least total weight of the first frame's samples.
    """

    def __init__(self, features: Tensor, labels: Tensor, size: int, first_weight: float):
        self.first = len(features)
        size = max(size, self.first + 1)
        # Channels-last, as the least-squares problem reads it.
        self.features = torch.zeros_like(features[:1].expand(size, -1, -1, -1), memory_format=torch.channels_last)
        self.labels = labels.new_zeros(size, *labels.shape[1:])
        self.weights = torch.zeros(size)  # on the CPU, which decides what to replace
        self.features[: self.first], self.labels[: self.first] = features, labels
        self.weights[: self.first] = 1 / self.first
        self.first_weight = first_weight
        self.used = self.first
        self._last: int | None = None

    def add(self, features: Tensor, label: Tensor, rate: float) -> None:
        """Store one sample (C, H, W) and its label (H, W), of weight `rate` among all."""
        index = self.first + int(torch.argmin(self.weights[self.first :]))
        if self._last is None:
            # The first new sample: all others share the remaining weight.
            self.weights *= 1 - rate
            self.weights[index] = rate
        else:
            # Each new sample outweighs the one before by 1 / (1 - rate): an exponential decay after normalisation.
            self.weights[index] = self.weights[self._last] / (1 - rate)
        self.weights /= self.weights.sum()
        if self.weights[: self.first].sum() < self.first_weight:
            self.weights[self.first :] *= (1 - self.first_weight) / self.weights[self.first :].sum()
            self.weights[: self.first] = self.first_weight / self.first
        self.features[index], self.labels[index] = features, label
        self._last = index
        self.used = max(self.used, index + 1)

    def contents(self) -> tuple[Tensor, Tensor, Tensor]:
        """Features (N, C, H, W), labels (N, H, W) and weights (N,) of the stored samples.

        For a CUDA graph, which needs one shape, those of the whole memory, whose empty places weigh nothing.
        """
        device = self.features.device
        count = len(self.weights) if captures(device) else self.used
        return self.features[:count], self.labels[:count], upload(self.weights[:count], device)
