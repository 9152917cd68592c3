"""Densities of the toy problem on a grid, and their Kullback-Leibler divergence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ebm_common import normalized_log_density_grid
from ltr.dataset.toy import HIGH, LOW, ToyDensity

NUM_CELLS = 2048
"""Cells along each side of the grid over -3 < x, y < 3, as in Gustafsson et al. (BMVC 2020)."""
_ROWS = 64  # of the grid at once: 5 MB for a layer of hidden units
_FLOOR = 1e-30  # added to the true density before its logarithm is taken, where it underflows


@dataclass(frozen=True)
class Divergence:
    """KL(p_true || p_model) in nats: the mean over all x, over x < 0 and over x >= 0."""

    all: float
    negative: float
    positive: float

    def __str__(self) -> str:
        return f"{self.all:.4f} (x < 0: {self.negative:.4f}, x >= 0: {self.positive:.4f})"


def grid_axis(num_cells: int = NUM_CELLS) -> Tensor:
    """Centres of the cells along an axis, (num_cells,)."""
    return LOW + (HIGH - LOW) * (torch.arange(num_cells) + 0.5) / num_cells


def true_log_density(density: ToyDensity, num_cells: int = NUM_CELLS) -> Tensor:
    """log p(y | x) on the grid, (cells of x, cells of y), in float64."""
    axis = grid_axis(num_cells).double()
    return density.log_density(axis[:, None], axis)


@torch.no_grad()
def model_log_density(net: Any, num_cells: int = NUM_CELLS) -> Tensor:
    """log p(y | x) of a toy network on the grid, (cells of x, cells of y).

    An energy-based model is normalised over the grid, which ignores its values outside -3 < y < 3. A Gaussian has its
    own constant, and may lose probability to the outside.

    Raises:
        ValueError: if an energy is NaN.
    """
    device = next(net.parameters()).device
    axis = grid_axis(num_cells).to(device)
    rows = []
    for x in axis[:, None].split(_ROWS):
        if hasattr(net, "output"):
            mean, log_variance = net.output(x)
            rows.append(-0.5 * ((axis - mean).square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi)))
        else:
            features = net.encode(x)
            lower = torch.full_like(x, LOW)
            rows.append(
                normalized_log_density_grid(
                    lambda y, features=features: net.energy(features, y), lower, -lower, num_cells
                ).log_density
            )
    return torch.cat(rows).cpu()


def kl_divergence(true: Tensor, model: Tensor) -> Divergence:
    """KL(p_true || p_model) from log-densities on the same grid, both (cells of x, cells of y).

    The true density plus 1e-30 is normalised over the grid; the model's density is used unchanged.
    """
    true, model = true.double(), model.double()
    log_cell = math.log((HIGH - LOW) / true.shape[1])
    log_p = torch.logaddexp(true, torch.full_like(true, math.log(_FLOOR))) + log_cell
    log_p = log_p - torch.logsumexp(log_p, dim=1, keepdim=True)
    of_x = (log_p.exp() * (log_p - (model + log_cell))).sum(dim=1)
    negative = grid_axis(len(of_x)) < 0
    return Divergence(*(part.mean().item() for part in (of_x, of_x[negative], of_x[~negative])))
