"""The energy as everything here calls it, and its gradient in y.

``energy(y) -> f`` takes candidates (B, M, D) to energies (B, M), higher is better, and each f depends on its own
candidate only. Then one backward pass of the sum gives every candidate its gradient. An `energy` that knows its
gradient in closed form offers it as a method, ``energy.value_and_grad(y) -> (f, grad)`` with grad (B, M, D).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Energy", "checked_value", "differentiable_grad", "finite_or_stay", "value_and_grad"]

Energy = Callable[[Tensor], Tensor]


def checked_value(energy: Energy, y: Tensor) -> Tensor:
    """f (B, M) of y (B, M, D).

    Raises:
        ValueError: `energy` returns another shape.
    """
    return _checked(energy(y), y)


def value_and_grad(energy: Energy, y: Tensor) -> tuple[Tensor, Tensor]:
    """f (B, M) and its gradient in y (B, M, D), both without a graph; in closed form where `energy` has it.

    Raises:
        ValueError: `energy` returns another shape, or nothing that can be differentiated in y.
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

    By automatic differentiation, since a closed form may have no graph. `y` has to require a gradient already.

    Raises:
        ValueError: `energy` returns another shape, or nothing that can be differentiated in y.
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
