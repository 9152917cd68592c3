"""The interface of this package to a network: `Energy`, its evaluation in chunks, and its gradient in y."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Energy", "checked_value", "differentiable_grad", "evaluate", "finite_or_stay", "value_and_grad"]


class Energy(Protocol):
    """A function from candidates y, (B, M, D), to energies f, (B, M). Higher is better: p(y | x) = exp f(x, y) / Z(x).

    Any callable will do. It holds the input x itself, usually as a closure over features that were encoded once:
    ``lambda y: net.energy(features, y)``. Each f depends on its own candidate only. Then one backward pass of the sum
    gives every candidate its gradient.

    An energy that knows its gradient in closed form may have a method ``value_and_grad(y) -> (f, grad)`` with f (B, M)
    and grad (B, M, D), both without a graph. Refinement and Langevin dynamics then call it in place of automatic
    differentiation.
    """

    def __call__(self, y: Tensor, /) -> Tensor: ...


def checked_value(energy: Energy, y: Tensor) -> Tensor:
    """f (B, M) of y (B, M, D).

    Raises:
        ValueError: if `energy` returns another shape.
    """
    return _checked(energy(y), y)


def evaluate(energy: Energy, y: Tensor, chunk: int) -> Tensor:
    """f (B, M) of y (B, M, D), without a graph and in float32 at least, at most `chunk` candidates of each row at once.

    Raises:
        ValueError: if chunk < 1, or `energy` returns another shape, NaN or +inf. (-inf is allowed: such a candidate
            lies outside the target space.)
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    with torch.no_grad():
        f = torch.cat([checked_value(energy, part) for part in torch.split(y, chunk, dim=1)], dim=1)
    f = f.to(torch.promote_types(f.dtype, torch.float32))
    wrong = f.isnan() | (f == math.inf)
    if wrong.any():
        raise ValueError(f"the energy is {f[wrong][0].item()} at y = {y[wrong][0].tolist()}")
    return f


def value_and_grad(energy: Energy, y: Tensor) -> tuple[Tensor, Tensor]:
    """f (B, M) and its gradient in y (B, M, D), both without a graph; in closed form where `energy` has it.

    Raises:
        ValueError: if `energy` returns another shape, or a value without a gradient in y.
    """
    closed_form = getattr(energy, "value_and_grad", None)
    if closed_form is not None:
        f, grad = closed_form(y)
        if grad.shape != y.shape:
            raise ValueError(f"the gradient of energy at y {tuple(y.shape)} has another shape, {tuple(grad.shape)}")
        return _checked(f, y), grad
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        f = _checked(energy(y), y)
        grad = _grad(f, y, create_graph=False)
    return f.detach(), grad


def differentiable_grad(energy: Energy, y: Tensor) -> Tensor:
    """The gradient of f in y, (B, M, D), with the graph through which a loss of it trains `energy`.

    It is automatic, since a closed form may have no graph. `y` must require a gradient already.

    Raises:
        ValueError: if `energy` returns another shape, or a value without a gradient in y.
    """
    return _grad(_checked(energy(y), y), y, create_graph=True)


def finite_or_stay(candidate: Tensor, y: Tensor) -> Tensor:
    """`candidate` where all of its D coordinates are finite, else `y`."""
    finite = candidate.abs().amax(dim=-1, keepdim=True) < math.inf  # false for NaN; one kernel where isfinite has four
    return torch.where(finite, candidate, y)


def _grad(f: Tensor, y: Tensor, create_graph: bool) -> Tensor:
    grad = None
    if f.requires_grad:
        # Backward passes use the forward pass's types by themselves; under autocast they would round what it did not.
        with torch.autocast(y.device.type, enabled=False):
            grad = torch.autograd.grad(f.sum(), y, allow_unused=True, create_graph=create_graph)[0]
    if grad is None:
        raise ValueError("energy must return values that can be differentiated in y: it detaches y or f")
    return grad


def _checked(f: Tensor, y: Tensor) -> Tensor:
    if f.shape != y.shape[:-1]:
        raise ValueError(f"energy must take y (B, M, D) to f (B, M), but took {tuple(y.shape)} to {tuple(f.shape)}")
    return f
