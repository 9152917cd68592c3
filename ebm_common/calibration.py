"""Is p(y | x) calibrated? If not, find the temperature that corrects it (Guo et al., ICML 2017).

A density is calibrated if its credible regions hold the label as often as their level says. A network trained long by
maximum likelihood is usually overconfident on new data. The remedy is p(y | x) proportional to exp(f(x, y) / T), with
the T that gives held-out labels the highest likelihood. It does not change the order of candidates, nor predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ebm_common.importance import ImportanceSample

__all__ = ["TemperatureCurve", "temperature_curve"]


class TemperatureCurve(NamedTuple):
    """How well p(y | x) at each of K temperatures fits B held-out labels.

    Attributes:
        temperature: (K,).
        nll: (K,) mean negative log-likelihood of the labels.
        level: (K, B) level of the smallest credible region that holds each label. For a calibrated density it is
            uniform on [0, 1].
    """

    temperature: Tensor
    nll: Tensor
    level: Tensor

    def best(self) -> float:
        """The temperature with the highest likelihood."""
        return float(self.temperature[self.nll.argmin()])

    def coverage(self, level: float) -> Tensor:
        """The share (K,) of labels inside the credible region of `level`."""
        return (self.level <= level).to(self.nll.dtype).mean(dim=1)


def temperature_curve(sample: ImportanceSample, f_label: Tensor, temperatures: Sequence[float]) -> TemperatureCurve:
    """Compute likelihood and levels of held-out labels at several temperatures.

    Args:
        sample: of p(y | x) for B held-out inputs, at temperature 1.
        f_label: (B,) energies of their labels.
        temperatures: K positive numbers.

    Raises:
        ValueError: if a temperature is not positive, there is none, or `f_label` is not (B,).
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
    return TemperatureCurve(
        torch.tensor(temperatures, dtype=f_label.dtype, device=f_label.device), torch.stack(nll), torch.stack(level)
    )
