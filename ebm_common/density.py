"""The density p(y | x) = exp f(x, y) / Z(x) on a grid, for targets of one to three dimensions, or on a 2-D slice.

Integrals are midpoint sums, computed in logarithms: each side of the grid has `num_cells` cells, and f is taken at the
middle of each. `energy` is called without gradients, on at most `chunk` points of each row at a time, so that fine
grids fit in memory. For more dimensions see `ebm_common.importance`.
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

    Attributes:
        y: (B, n_1, ..., n_D, D) middles of the cells.
        log_density: (B, n_1, ..., n_D). Its exponential sums to 1 / cell_volume.
        log_z: (B,) logarithm of the integral of exp f over the grid.
        cell_volume: (B,), in the unit of y to the power of D.
    """

    y: Tensor
    log_density: Tensor
    log_z: Tensor
    cell_volume: Tensor


class Density2D(NamedTuple):
    """A density over two coordinates, u and v.

    Attributes:
        u: (n_u,) middles of the cells.
        v: (n_v,) middles of the cells.
        log_density: (n_u, n_v), entry [i, j] at (u[i], v[j]); -inf outside the target space. Its exponential sums to
            1 / (du dv).
    """

    u: Tensor
    v: Tensor
    log_density: Tensor


def normalized_log_density_grid(
    energy: Energy, lower: Tensor, upper: Tensor, num_cells: int | Sequence[int], chunk: int = 4096
) -> GridDensity:
    """The normalised log-density over the box [lower, upper], for D <= 3.

    Args:
        energy: (B, M, D) -> (B, M).
        lower, upper: corners of the box to integrate over, (B, D), or (D,) for B = 1. The density outside counts as
            zero, so take the box wide enough. The grid has their device and dtype.
        num_cells: cells a side, or one number for each dimension.
        chunk: points of each row in one call of `energy`.

    Raises:
        ValueError: if the shapes do not fit, D > 3, lower >= upper, num_cells or chunk < 1, or `energy` returns another
            shape, NaN or +inf.

    Examples:
        f = -y^2 / 2 is a standard normal density without its constant: log Z is log(2 pi) / 2 = 0.9189, and the highest
        density 0.3989.

        >>> lower, upper = torch.tensor([-6.0]), torch.tensor([6.0])
        >>> grid = normalized_log_density_grid(lambda y: -0.5 * y.square().sum(-1), lower, upper, 1001)
        >>> grid.y.shape, grid.log_density.shape
        (torch.Size([1, 1001, 1]), torch.Size([1, 1001]))
        >>> grid.log_z, grid.log_density.max().exp()
        (tensor([0.9189]), tensor(0.3989))
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
    """Log Z, the logarithm of the integral of exp f over the box [lower, upper], for D <= 3.

    Arguments and errors are those of `normalized_log_density_grid`.

    Returns:
        (B,), in float32 at least.
    """
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
    """The normalised density over a plane through the target space, as in Figure S2.

    `embed` defines the plane: it takes (u, v) to y. In Figure S2 the top-right corner of a box moves while the
    bottom-left corner stays. To move two of y's own coordinates, use `embed_dims`. The slice is exp f over the plane,
    normalised to integrate to one in (u, v). It includes no Jacobian of `embed`.

    Args:
        energy: (1, M, D) -> (1, M).
        embed: (K, 2) -> (K, D). A row with a NaN or an infinity, such as a box of negative size, lies outside the
            target space. Its density is zero, and `energy` does not see it.
        u_range, v_range: the bounds (lower, upper) of the window, in the units of u and v.
        num_cells: cells a side, n_u = n_v, or (n_u, n_v).
        chunk: points in one call of `energy`.
        like: tensor whose device and dtype the grid takes; None for the default dtype on the CPU.

    Raises:
        ValueError: if the window is empty, num_cells or chunk < 1, no point of the window is inside the target space,
            or `energy` returns another shape, NaN or +inf.

    Examples:
        A density in three dimensions, of which the first and the last are shown. Its peak is at 1.1 and 2.9.

        >>> peak = torch.tensor([1.1, 0.0, 2.9])
        >>> plane = embed_dims(torch.zeros(3), (0, 2))
        >>> d = density_slice_2d(lambda y: -(y - peak).square().sum(-1), plane, (0, 4), (0, 5), (20, 25))
        >>> d.log_density.shape
        torch.Size([20, 25])
        >>> i, j = divmod(int(d.log_density.argmax()), 25)
        >>> d.u[i], d.v[j]
        (tensor(1.1000), tensor(2.9000))
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
    """The plane for `density_slice_2d` in which two coordinates move and the others stay.

    Args:
        base: (D,) the point that the plane goes through.
        dims: the two coordinates that move.

    Returns:
        A function from (u, v), (..., 2), to y, (..., D).
    """

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
