"""Is p(y | x) honest, and the temperature that mends it where it is not (Guo et al., ICML 2017).

A density is calibrated if its credible regions hold the label as often as their level says. A network trained by
maximum likelihood for long is usually overconfident on new data. p(y | x) proportional to exp(f(x, y) / T), with the T
that makes held-out labels likeliest, is flatter by one number, and leaves the order of candidates, so predictions, as
they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ebm_common.importance import ImportanceSample

__all__ = ["TemperatureCurve", "temperature_curve"]


class TemperatureCurve(NamedTuple):
    """What each of K temperatures makes of B held-out labels.

    temperature: (K,). nll: (K,) mean negative log-likelihood of the labels. level: (K, B) the level of the smallest
    credible region that holds each label; of a calibrated density, a share `a` of them lies below `a`.
    """

    temperature: Tensor
    nll: Tensor
    level: Tensor

    def best(self) -> float:
        """The temperature of the highest likelihood."""
        return float(self.temperature[self.nll.argmin()])

    def coverage(self, level: float) -> Tensor:
        """(K,) shares of the labels inside the region of that level."""
        return (self.level <= level).to(self.nll.dtype).mean(dim=1)


def temperature_curve(sample: ImportanceSample, f_label: Tensor, temperatures: Sequence[float]) -> TemperatureCurve:
    """The likelihood and the levels of labels at several temperatures.

    Args:
        sample: of p(y | x) for B held-out inputs, at temperature 1.
        f_label: (B,) energies of their labels.
        temperatures: K positive numbers.

    Raises:
        ValueError: a temperature that is not positive, or another number of labels.
    """
    if f_label.shape != sample.log_z.shape:
        raise ValueError(f"f_label must be {tuple(sample.log_z.shape)}, got {tuple(f_label.shape)}")
    if not temperatures or min(temperatures) <= 0:
        raise ValueError(f"temperatures must be positive, got {list(temperatures)}")
    nll, level = [], []
    for temperature in temperatures:
        warm = sample.tempered(temperature)
        f = f_label / temperature
        nll.append((warm.log_z - f).mean())
        level.append(warm.level(f))
    return TemperatureCurve(torch.tensor(temperatures).to(f_label), torch.stack(nll), torch.stack(level))
