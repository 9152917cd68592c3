"""One-dimensional regression problems with known densities (Appendix B and Figure 2), and samples of them.

In all of them x ~ U(-3, 3). All but 6e-6 of the probability of any x lies in -3 < y < 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

LOW, HIGH = -3.0, 3.0
"""Range of x, and of the y that are evaluated."""


class ToyDensity(Protocol):
    """A problem with a known density."""

    @property
    def name(self) -> str: ...

    def sample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """n pairs: x (n, 1) and y (n, 1)."""
        ...

    def log_density(self, x: Tensor, y: Tensor) -> Tensor:
        """log p(y | x), natural logarithm; x and y broadcast."""
        ...


@dataclass(frozen=True)
class MixtureAndLogNormal:
    """Two Gaussians for x < 0, a log-normal density for x >= 0 (Appendix B): two modes, and a skewed density.

    0.8 N(sin x, 0.075) + 0.2 N(-sin x, 0.075), and log-normal(0, 0.25). The paper gives the weights and the log-normal;
    means and standard deviation are those of the follow-up (Gustafsson et al., BMVC 2020), whose published code draws
    with 0.075 as a standard deviation. That code also subtracts 1 from the log-normal, which Appendix B does not.

    Args:
        shift: added to the log-normal: 0 as in the paper, -1 as in the follow-up's code.
    """

    name: str = "1"
    shift: float = 0.0

    weight = 0.8
    width = 0.075
    log_width = 0.25

    def sample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        x = _uniform(n, generator)
        sign = torch.where(torch.rand(n, 1, generator=generator) < self.weight, 1.0, -1.0)
        noise = torch.randn(n, 1, generator=generator)
        return x, torch.where(x < 0, sign * x.sin() + self.width * noise, (self.log_width * noise).exp() + self.shift)

    def log_density(self, x: Tensor, y: Tensor) -> Tensor:
        likely = math.log(self.weight) + _log_normal(y, x.sin(), self.width)
        rare = math.log(1 - self.weight) + _log_normal(y, -x.sin(), self.width)
        value = y - self.shift
        log_value = value.clamp(min=torch.finfo(value.dtype).tiny).log()
        skewed = (_log_normal(log_value, 0.0, self.log_width) - log_value).masked_fill(value <= 0, -math.inf)
        return torch.where(x < 0, torch.logaddexp(likely, rare), skewed)


@dataclass(frozen=True)
class GrowingGaussian:
    """N(sin x, 0.15 sigmoid(x)), with mean and standard deviation: the follow-up's second problem."""

    name: str = "2"

    def sample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        x = _uniform(n, generator)
        return x, x.sin() + 0.15 * x.sigmoid() * torch.randn(n, 1, generator=generator)

    def log_density(self, x: Tensor, y: Tensor) -> Tensor:
        return _log_normal(y, x.sin(), 0.15 * x.sigmoid())


TOY_DENSITIES: dict[str, ToyDensity] = {
    "1": MixtureAndLogNormal(),
    "1_shifted": MixtureAndLogNormal("1_shifted", shift=-1.0),
    "2": GrowingGaussian(),
}


class ToySamples(Dataset):
    """n fixed pairs in a new order in every epoch: item k of the training is item k % n of epoch k // n.

    Items are {"x": (1,), "label": (1,)}.

    Args:
        density: of the pairs.
        n: number of pairs. The paper has 2000.
        seed: of the pairs.
        order_seed: of the orders; None for the order in which the pairs were drawn.
    """

    def __init__(self, density: ToyDensity, n: int, seed: int, order_seed: int | None = None) -> None:
        self.x, self.y = density.sample(n, torch.Generator().manual_seed(seed))
        self.order_seed = order_seed
        self._order: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        epoch, i = divmod(k, len(self))
        if self.order_seed is not None:
            if self._order is None or self._order[0] != epoch:
                self._order = epoch, np.random.default_rng([self.order_seed, epoch]).permutation(len(self))
            i = self._order[1][i]
        return {"x": self.x[i], "label": self.y[i]}


def _uniform(n: int, generator: torch.Generator | None) -> Tensor:
    return LOW + (HIGH - LOW) * torch.rand(n, 1, generator=generator)


def _log_normal(y: Tensor, mean: Tensor | float, sigma: Tensor | float) -> Tensor:
    log_sigma = sigma.log() if isinstance(sigma, Tensor) else math.log(sigma)
    return -0.5 * ((y - mean) / sigma).square() - log_sigma - 0.5 * math.log(2 * math.pi)
