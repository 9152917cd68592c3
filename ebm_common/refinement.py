"""Prediction: climbing the energy from a first guess (Section 3.3, Algorithms S1 and S2).

The three ways share one contract.

- ``energy(y) -> f`` takes candidates (B, M, D) to energies (B, M), higher is better, and each f depends on its own
  candidate only. Then one backward pass of the sum gives every candidate its gradient, and each is refined as if alone.
- ``step`` is the step-length lambda: a number, a tensor broadcast against y (so (D,) has one value for each dimension,
  as position and size of a box), or a function of the current y that returns one. ATOM's own refinement, in pixels,
  scales with the size of the box: ``step=lambda y: y[..., [2, 3, 2, 3]]``.
- An ``energy`` that knows its gradient in closed form offers it as a method, ``energy.value_and_grad(y) -> (f, grad)``
  with grad (B, M, D). It is then asked for it, and automatic differentiation is not used.
- A candidate whose step is not finite (f not differentiable there, an overflow) stays where it is; the others go on.
- It works under `torch.no_grad` and `torch.inference_mode`. (Features that `energy` holds must not be inference
  tensors themselves: PyTorch cannot differentiate through those.) No gradient reaches the parameters, and the result
  carries no graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ebm_common.energy import Energy, checked_value, finite_or_stay, value_and_grad

__all__ = ["RefinementResult", "ascend", "ascend_backtracking", "ascend_early_stop"]

# The functions below leave inference mode (a tensor made in it can never require a gradient; a clone outside can), and
# leave it first, because leaving it turns gradients on.

Step = float | Tensor | Callable[[Tensor], Tensor]


class RefinementResult(NamedTuple):
    """Refined candidates y, (B, M, D), and their energies f, (B, M)."""

    y: Tensor
    f: Tensor


@torch.inference_mode(False)
@torch.no_grad()
def ascend(energy: Energy, y: Tensor, step: Step, iterations: int, score_final: bool = True) -> RefinementResult:
    """Plain gradient ascent, ``iterations`` times ``y <- y + step * grad f(y)``, as in ATOM (Appendix D.2).

    Nothing checks that f grows.

    Args:
        energy: (B, M, D) -> (B, M).
        y: (B, M, D) first guesses.
        step: see the module.
        iterations: T >= 0. The paper has 5 for ATOM, 10 for ATOM* and EBM.
        score_final: True gives f of the returned y, for one more forward pass. False gives f of the candidates before
            their last step, which is what PyTracking ranks boxes by (and, with T = 0, f of y).

    Returns:
        y and f.

    Raises:
        ValueError: negative `iterations`, or `energy` returns another shape or nothing to differentiate.
    """
    _check_iterations(iterations)
    y = y.detach().clone()
    f = None
    for _ in range(iterations):
        f, grad = value_and_grad(energy, y)
        y = finite_or_stay(y + _step_at(step, y) * grad, y)
    if f is None or score_final:
        f = checked_value(energy, y)
    return RefinementResult(y, f)


@torch.inference_mode(False)
@torch.no_grad()
def ascend_backtracking(energy: Energy, y: Tensor, step: Step, iterations: int, decay: float) -> RefinementResult:
    """Gradient ascent that takes only steps upwards: Algorithm S1.

    Every candidate has a step-length of its own. A step is taken if f becomes strictly greater (a NaN is not), else
    the candidate stays and its step-length is multiplied by `decay`; so no f ends below its start. Costs T + 1 forward
    and T backward passes, where the algorithm as written has 2 T and T: the value and gradient of a point are computed
    when it is tried, and kept.

    Args:
        energy: (B, M, D) -> (B, M).
        y: (B, M, D) first guesses.
        step: the initial lambda, see the module.
        iterations: T >= 0, typically 10.
        decay: eta in (0, 1]. Detection (Appendix C.4) has 0.5 for the EBM, 0.2 for IoU-Net*, 0.1 for IoU-Net.

    Returns:
        y and f of that y.

    Raises:
        ValueError: negative `iterations`, `decay` outside (0, 1], or `energy` returns another shape or nothing to
            differentiate.
    """
    _check_iterations(iterations)
    if not 0 < decay <= 1:
        raise ValueError(f"decay must be in (0, 1], got {decay}")
    y = y.detach().clone()
    if iterations == 0:
        return RefinementResult(y, checked_value(energy, y))
    f, grad = value_and_grad(energy, y)
    scale = torch.ones_like(y[..., :1])  # lambda = scale * step
    for t in range(iterations):
        candidate = finite_or_stay(y + scale * _step_at(step, y) * grad, y)
        if t + 1 < iterations:
            new_f, new_grad = value_and_grad(energy, candidate)
        else:
            new_f, new_grad = checked_value(energy, candidate), grad  # nobody will follow the last gradient
        better = new_f > f
        f = torch.where(better, new_f, f)
        better = better[..., None]
        y = torch.where(better, candidate, y)
        grad = torch.where(better, new_grad, grad)
        scale = torch.where(better, scale, decay * scale)
    return RefinementResult(y, f)


@torch.inference_mode(False)
@torch.no_grad()
def ascend_early_stop(
    energy: Energy,
    y: Tensor,
    step: Step,
    iterations: int = 5,
    stop_threshold: float = 0.001,
    degeneration_tolerance: float = -0.01,
) -> RefinementResult:
    """Gradient ascent that ends where f no longer changes or falls: Algorithm S2 (age and head pose, E.3 and F.3).

    Each candidate stops by itself, after the step that changed its f by less than `stop_threshold` in size, or by less
    than `degeneration_tolerance`: a step that lowers f is kept, and is the last. One departure: a step to a point where
    f is NaN is not taken.

    Args:
        energy: (B, M, D) -> (B, M).
        y: (B, M, D) first guesses.
        step: lambda, see the module. The paper has 3 for age and 0.1 for head pose.
        iterations: T >= 0.
        stop_threshold: Omega_1.
        degeneration_tolerance: Omega_2.

    Returns:
        y and f of that y.

    Raises:
        ValueError: negative `iterations`, or `energy` returns another shape or nothing to differentiate.
    """
    _check_iterations(iterations)
    y = y.detach().clone()
    if iterations == 0:
        return RefinementResult(y, checked_value(energy, y))
    f, grad = value_and_grad(energy, y)
    active = torch.ones_like(f, dtype=torch.bool)
    for t in range(iterations):
        candidate = finite_or_stay(y + _step_at(step, y) * grad, y)
        last = t + 1 == iterations
        new_f, new_grad = (checked_value(energy, candidate), grad) if last else value_and_grad(energy, candidate)
        # Those that have stopped were evaluated along with the rest, since `energy` knows one fixed shape.
        taken = active & ~new_f.isnan()
        y = torch.where(taken[..., None], candidate, y)
        grad = torch.where(taken[..., None], new_grad, grad)
        change = new_f - f
        f = torch.where(taken, new_f, f)
        active = taken & ~((change.abs() < stop_threshold) | (change < degeneration_tolerance))
        if last or not active.any():
            break
    return RefinementResult(y, f)


def _check_iterations(iterations: int) -> None:
    if iterations < 0:
        raise ValueError(f"iterations must not be negative, got {iterations}")


def _step_at(step: Step, y: Tensor) -> float | Tensor:
    if callable(step):
        return step(y)
    return step.to(y.device, y.dtype) if isinstance(step, Tensor) else step
