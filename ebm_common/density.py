"""The density p(y | x) = exp f(x, y) / Z(x) on grids, where y has few dimensions or only two of them are looked at.

All integrals are midpoint sums, in logarithms: a grid of `num_cells` a side, f at the middle of each. `energy` is the
same callable that refinement climbs, (B, M, D) -> (B, M), here called without gradients and on at most `chunk` points
of each row at a time, so that fine grids fit in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ebm_common.energy import Energy, evaluate

__all__ = [
    "Density2D",
    "GridDensity",
    "density_slice_2d",
    "embed_dims",
    "log_partition_grid",
    "normalized_log_density_grid",
]


class GridDensity(NamedTuple):
    """A density on a regular grid of D dimensions.

    y: (B, n_1, ..., n_D, D) middles of the cells; log_density: (B, n_1, ..., n_D), and exp of it sums to
    1 / cell_volume; log_z: (B,) logarithm of the integral of exp f over the grid; cell_volume: (B,).
    """

    y: Tensor
    log_density: Tensor
    log_z: Tensor
    cell_volume: Tensor


class Density2D(NamedTuple):
    """A density over two coordinates, u and v.

    u: (n_u,) and v: (n_v,) middles of the cells; log_density: (n_u, n_v), entry [i, j] at (u[i], v[j]), -inf where the
    target is not defined. exp of it sums to 1 / (du dv).
    """

    u: Tensor
    v: Tensor
    log_density: Tensor


def normalized_log_density_grid(
    energy: Energy, lower: Tensor, upper: Tensor, num_cells: int | Sequence[int], chunk: int = 4096
) -> GridDensity:
    """Normalised log-density over the box [lower, upper], for D <= 3.

    Args:
        energy: (B, M, D) -> (B, M).
        lower, upper: corners of the box to integrate over, (B, D), or (D,) for B = 1. What lies outside counts as
            nothing, so take it wide enough; device and dtype of the grid are theirs.
        num_cells: cells a side, or one number for each dimension.
        chunk: points of each row in one call of `energy`.

    Raises:
        ValueError: if shapes do not fit, D > 3, lower >= upper, num_cells or chunk < 1, or an energy is NaN or +inf.
    """
    lower, upper = torch.atleast_2d(lower), torch.atleast_2d(upper)
    if lower.ndim != 2 or lower.shape != upper.shape:
        raise ValueError(f"lower and upper must have the same shape, (B, D) or (D,), got {tuple(lower.shape)} and "
                         f"{tuple(upper.shape)}")  # fmt: skip
    batch, dim = lower.shape
    if not 1 <= dim <= 3:
        raise ValueError(f"a grid serves 1 to 3 dimensions, got {dim}; estimate log Z by importance sampling instead")
    if not (lower < upper).all():
        raise ValueError(f"lower must be less than upper, got {lower.tolist()} and {upper.tolist()}")
    shape = _check_num_cells(num_cells, dim)
    fractions = torch.cartesian_prod(*[_midpoints(0.0, 1.0, n, lower) for n in shape]).reshape(-1, dim)
    y = lower[:, None] + fractions * (upper - lower)[:, None]  # (B, n_1 ... n_D, D)
    cell_volume = ((upper - lower) / lower.new_tensor(shape)).prod(dim=-1)
    f = evaluate(energy, y, chunk)
    log_z = torch.logsumexp(f, dim=1) + cell_volume.log()
    return GridDensity(y.reshape(batch, *shape, dim), (f - log_z[:, None]).reshape(batch, *shape), log_z, cell_volume)


def log_partition_grid(
    energy: Energy, lower: Tensor, upper: Tensor, num_cells: int | Sequence[int], chunk: int = 4096
) -> Tensor:
    """log of the integral of exp f over the box [lower, upper], (B,); see `normalized_log_density_grid`."""
    return normalized_log_density_grid(energy, lower, upper, num_cells, chunk).log_z


def density_slice_2d(
    energy: Energy,
    embed: Callable[[Tensor], Tensor],
    u_range: tuple[float, float],
    v_range: tuple[float, float],
    num_cells: int | tuple[int, int] = 64,
    chunk: int = 4096,
    like: Tensor | None = None,
) -> Density2D:
    """Normalised density over a plane through the target space, as in Figure S2.

    There the plane is where the top-right corner of a box moves while the bottom-left one stays; `embed` says so:
    it takes (u, v) to y. Two of y's own coordinates move with `embed_dims`. The slice is exp f over the plane, made to
    integrate to one in (u, v); a Jacobian of `embed` is not part of it.

    Args:
        energy: (1, M, D) -> (1, M).
        embed: (K, 2) -> (K, D). A row with a NaN or an infinity (a box turned inside out, say) is outside the target
            space: its density is zero and `energy` is not asked.
        u_range, v_range: the bounds (lower, upper) of the window.
        num_cells: cells a side, n_u = n_v, or (n_u, n_v).
        chunk: points in one call of `energy`.
        like: tensor whose device and dtype the grid takes; None for the default dtype on the CPU.

    Raises:
        ValueError: an empty window, num_cells or chunk < 1, no point of the window inside the target space, or an
            energy that is NaN or +inf inside it.
    """
    for name, (lower, upper) in {"u_range": u_range, "v_range": v_range}.items():
        if not lower < upper:
            raise ValueError(f"{name} must be (lower, upper) with lower < upper, got {(lower, upper)}")
    like = torch.empty(0) if like is None else like
    num_u, num_v = _check_num_cells(num_cells, 2)
    u, v = _midpoints(*u_range, num_u, like), _midpoints(*v_range, num_v, like)
    y = embed(torch.cartesian_prod(u, v))
    inside = y.isfinite().all(dim=-1)
    if not inside.any():
        raise ValueError(f"no point of the window u {u_range}, v {v_range} is inside the target space")
    f_inside = evaluate(energy, y[inside][None], chunk)[0]
    f = f_inside.new_full((len(y),), -math.inf)
    f[inside] = f_inside
    cell_area = (u_range[1] - u_range[0]) / num_u * (v_range[1] - v_range[0]) / num_v
    log_density = f - torch.logsumexp(f, dim=0) - math.log(cell_area)
    return Density2D(u, v, log_density.reshape(num_u, num_v))


def embed_dims(base: Tensor, dims: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """The plane in which coordinates `dims` of `base`, (D,), move and the others stay, for `density_slice_2d`."""

    def embed(uv: Tensor) -> Tensor:
        y = base.to(uv).expand(*uv.shape[:-1], -1).clone()
        y[..., list(dims)] = uv
        return y

    return embed


def _check_num_cells(num_cells: int | Sequence[int], dim: int) -> tuple[int, ...]:
    counts = (num_cells,) * dim if isinstance(num_cells, int) else tuple(num_cells)
    if len(counts) != dim or min(counts) < 1:
        raise ValueError(f"num_cells must be a positive number, or {dim} of them, got {counts}")
    return counts


def _midpoints(lower: float, upper: float, num_cells: int, like: Tensor) -> Tensor:
    return lower + (torch.arange(num_cells, device=like.device, dtype=like.dtype) + 0.5) * ((upper - lower) / num_cells)
