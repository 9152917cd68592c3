"""The least-squares problem of ATOM's target classifier, with explicit Jacobian products.

The response to a sample is the convolution of its features with a filter over all channels, `W = P^T f`: a projection P
of the channels followed by a small filter f. The convolution is one matrix product over channels and a sum of shifted
maps, and so is its adjoint: products with the Jacobian need no automatic differentiation.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ltr.ops import dense


class Samples:
    """Feature maps of N samples, for a 'same' convolution whose even kernel drops the last row and column.

    Args:
        features: (N, K, H, W); not copied if in channels-last format.
        kernel: side of the filter.
    """

    def __init__(self, features: Tensor, kernel: int):
        self.num_samples, channels, self.height, self.width = features.shape
        self.kernel = kernel
        self.rows = features.permute(0, 2, 3, 1).reshape(-1, channels)
        self.compiled = features.contiguous(memory_format=torch.channels_last) if dense.serves(features) else None

    def correlate(self, weight: Tensor) -> Tensor:
        """Responses (N, H, W) to a filter (K, kernel^2)."""
        if self.compiled is not None:
            return dense.filter_correlate(self.compiled, weight, self.kernel)
        taps = (weight.T @ self.rows.T).view(-1, self.num_samples, self.height, self.width)
        below = self.kernel // 2
        taps = functional.pad(taps, (below, self.kernel - 1 - below) * 2)
        of_tap, of_sample, of_row, of_cell = taps.stride()
        # each tap is shifted by its own place in the filter
        shifted = (self.kernel * of_tap + of_row, of_tap + of_cell, of_sample, of_row, of_cell)
        return taps.as_strided((self.kernel, self.kernel, *self._size), shifted).sum((0, 1))

    def adjoint(self, response: Tensor) -> Tensor:
        """Adjoint of :meth:`correlate`: responses (N, H, W) -> (K, kernel^2)."""
        if self.compiled is not None:
            return dense.filter_adjoint(self.compiled, response, self.kernel)
        below = self.kernel // 2
        padded = functional.pad(response, (self.kernel - 1 - below, below) * 2)
        of_sample, of_row, of_cell = padded.stride()
        shifted = (of_row, of_cell, of_sample, of_row, of_cell)
        spread = padded.as_strided((self.kernel, self.kernel, *self._size), shifted)
        return (spread.reshape(self.kernel**2, -1) @ self.rows).flip(0).T  # a shift to the right reads from the left

    @property
    def _size(self) -> tuple[int, int, int]:
        return self.num_samples, self.height, self.width


def bend(x: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """ATOM's activation and its derivative: x for x >= 0, floor * (exp(x / floor) - 1) below.

    It is elu(leaky_relu(x, 1 / floor), floor): negative responses cost little, whatever their size.
    """
    negative = (x.clamp(max=0) / floor).exp()
    return torch.where(x >= 0, x, floor * (negative - 1)), torch.where(x >= 0, torch.ones_like(x), negative)


def solve_joint(
    samples: Samples,
    labels: Tensor,
    weights: Tensor,
    projection: Tensor,
    filter: Tensor,
    projection_reg: float,
    filter_reg: float,
    floor: float,
    gauss_newton: int,
    conjugate_gradient: int,
    watch: Callable[[Tensor], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Gauss-Newton over projection and filter together, on the first frame.

    Minimises sum_n w_n |bend(s_n) - y_n|^2 + filter_reg |f|^2 + projection_reg |P|^2 for s = correlate(P^T f). Each
    linearised problem is solved by preconditioned conjugate gradients (Fletcher-Reeves).

    Args:
        samples: N samples of K channels.
        labels: (N, H, W).
        weights: (N,).
        projection: P, (C, K).
        filter: f, (C, kernel^2).
        watch: called with the objective, a scalar, before the first step and after each.

    Returns:
        The new (P, f).
    """

    def report() -> None:
        if watch is not None:
            error = bend(samples.correlate(projection.T @ filter), floor)[0] - labels
            penalty = filter_reg * filter.square().sum() + projection_reg * projection.square().sum()
            watch((weights[:, None, None] * error.square()).sum() + penalty)

    report()
    root = weights.sqrt()[:, None, None]
    diagonal = torch.cat([torch.full((projection.numel(),), projection_reg), torch.full((filter.numel(),), filter_reg)])
    diagonal = diagonal.to(projection)
    for _ in range(gauss_newton):
        response, slope = bend(samples.correlate(projection.T @ filter), floor)
        slope = root * slope
        p, f = projection, filter

        def split(v: Tensor, p: Tensor = p, f: Tensor = f) -> tuple[Tensor, Tensor]:
            return v[: p.numel()].view_as(p), v[p.numel() :].view_as(f)

        def gather(gradient: Tensor, p: Tensor = p, f: Tensor = f) -> Tensor:
            return torch.cat([(f @ gradient.T).flatten(), (p @ gradient).flatten()])

        def normal(v: Tensor, p: Tensor = p, f: Tensor = f, slope: Tensor = slope) -> Tensor:
            dp, df = split(v)
            forward = slope * samples.correlate(dp.T @ f + p.T @ df)
            return gather(samples.adjoint(slope * forward)) + diagonal * v

        here = torch.cat([p.flatten(), f.flatten()])
        residual = root * (response - labels)
        right = -gather(samples.adjoint(slope * residual)) - diagonal * here
        dp, df = split(conjugate_gradients(normal, right, conjugate_gradient, diagonal, polak_ribiere=False))
        projection, filter = p + dp, f + df
        report()
    return projection, filter


def filter_objective(
    samples: Samples, labels: Tensor, weights: Tensor, filter: Tensor, filter_reg: float, floor: float
) -> Tensor:
    """The objective of :func:`solve_filter`, a scalar: sum_n w_n |bend(s_n) - y_n|^2 + filter_reg |f|^2."""
    error = bend(samples.correlate(filter), floor)[0] - labels
    return (weights[:, None, None] * error.square()).sum() + filter_reg * filter.square().sum()


def solve_filter(
    samples: Samples, labels: Tensor, weights: Tensor, filter: Tensor, filter_reg: float, floor: float, iterations: int
) -> Tensor:
    """One Gauss-Newton step over the filter alone (Polak-Ribiere), as in the tracker's updates.

    Args:
        samples: N projected samples of C channels.
        labels: (N, H, W).
        weights: (N,).
        filter: (C, kernel^2).

    Returns:
        The new filter.
    """
    root = weights.sqrt()[:, None, None]
    response, slope = bend(samples.correlate(filter), floor)
    slope = root * slope
    right = -samples.adjoint(slope * root * (response - labels)) - filter_reg * filter

    def normal(v: Tensor) -> Tensor:
        v = v.view_as(filter)
        return (samples.adjoint(slope**2 * samples.correlate(v)) + filter_reg * v).flatten()

    return filter + conjugate_gradients(normal, right.flatten(), iterations, None, polak_ribiere=True).view_as(filter)


def conjugate_gradients(
    normal: Callable[[Tensor], Tensor],
    right: Tensor,
    iterations: int,
    preconditioner: Tensor | None,
    polak_ribiere: bool,
) -> Tensor:
    """Approximate solution of `normal(x) = right` from x = 0.

    It stops moving once the residual vanishes or something is not finite. The device decides that: nothing waits for a
    GPU.

    Args:
        normal: the positive definite operator on flat vectors.
        right: (D,).
        preconditioner: diagonal (D,) by which residuals are divided, or None.
        polak_ribiere: use Polak-Ribiere's factor, otherwise Fletcher-Reeves'. A negative factor restarts the direction.
    """
    x = torch.zeros_like(right)
    residual = right
    direction, previous, rho = right, right, right.new_ones(())  # set by the first iteration
    going = torch.ones((), dtype=torch.bool, device=right.device)
    for iteration in range(iterations):
        scaled = residual if preconditioner is None else residual / preconditioner
        new_rho = residual @ scaled
        if iteration == 0:
            direction = scaled
        else:
            change = new_rho - previous @ scaled if polak_ribiere else new_rho
            direction = scaled + (change / rho).clamp(min=0) * direction
        step = normal(direction)
        alpha = new_rho / (direction @ step)
        going = going & (new_rho > 0) & torch.isfinite(alpha)
        x = torch.where(going, x + alpha * direction, x)
        previous, rho = residual, new_rho
        residual = residual - alpha * step
    return x
