"""Prediction: gradient ascent on the energy from a first guess (Section 3.3, Algorithms S1 and S2).

The three functions share one contract.

- `energy` is an `ebm_common.Energy`: (B, M, D) -> (B, M). Each candidate is refined as if it were alone.
- `step` is the step-length lambda: a number, a tensor broadcast against y, or a function of the current y that returns
  one of these. A tensor (D,) has one value for each dimension, such as position and size of a box. ATOM's own
  refinement, in pixels, scales with the size of the box: ``step=lambda y: y[..., [2, 3, 2, 3]]``.
- A candidate stays where it is if its step is not finite (f is not differentiable there, or overflows). The others go
  on.
- The functions work under `torch.no_grad` and `torch.inference_mode`. (Features that `energy` holds must not be
  inference tensors themselves, since PyTorch cannot differentiate through those.) No gradient reaches the parameters,
  and the result carries no graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ebm_common.energy import Energy, checked_value, finite_or_stay, value_and_grad

__all__ = ["RefinementResult", "ascend", "ascend_backtracking", "ascend_early_stop"]

Step = float | Tensor | Callable[[Tensor], Tensor]

# The functions below leave inference mode, since a tensor made in it can never require a gradient (a clone made outside
# can). They leave it before `no_grad`, because leaving it turns gradients on.


class RefinementResult(NamedTuple):
    """Refined candidates and their energies.

    Attributes:
        y: (B, M, D) refined candidates.
        f: (B, M) their energies.
    """

    y: Tensor
    f: Tensor


@torch.inference_mode(False)
@torch.no_grad()
def ascend(energy: Energy, y: Tensor, step: Step, iterations: int, score_final: bool = True) -> RefinementResult:
    """Climb by plain gradient ascent, ``y <- y + step * grad f(y)``, as in ATOM (Appendix D.2).

    It takes every step, whether f grows or not.

    Args:
        energy: (B, M, D) -> (B, M).
        y: (B, M, D) first guesses.
        step: lambda: a number, a tensor broadcast against y, or a function of the current y that returns one of these.
        iterations: T >= 0. The paper has 5 for ATOM, 10 for ATOM* and EBM.
        score_final: True returns f of the returned y, for one more forward pass. False returns f of the candidates
            before their last step, by which PyTracking ranks boxes (and, with T = 0, f of y).

    Returns:
        y and f.

    Raises:
        ValueError: if `iterations` is negative, or `energy` returns another shape or a value without a gradient in y.

    Examples:
        The energy is highest at y = 3. A step of 0.5 halves the distance.

        >>> first_guess = torch.zeros(1, 1, 1)
        >>> ascend(lambda y: -0.5 * (y - 3).square().sum(-1), first_guess, step=0.5, iterations=4)
        RefinementResult(y=tensor([[[2.8125]]]), f=tensor([[-0.0176]]))
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
    """Climb by gradient ascent that takes only steps upwards: Algorithm S1.

    Every candidate has a step-length of its own. It takes a step if f becomes strictly greater (NaN is not greater).
    Otherwise it stays, and its step-length is multiplied by `decay`. No f ends below its start.

    The function costs T + 1 forward and T backward passes, where the algorithm as written has 2 T and T: it computes
    value and gradient of a point together, and reuses both.

    Args:
        energy: (B, M, D) -> (B, M).
        y: (B, M, D) first guesses.
        step: the initial lambda: a number, a tensor broadcast against y, or a function of the current y that returns
            one of these.
        iterations: T >= 0, typically 10.
        decay: eta in (0, 1]. Detection (Appendix C.4) has 0.5 for the EBM, 0.2 for IoU-Net*, 0.1 for IoU-Net.

    Returns:
        y and f of that y.

    Raises:
        ValueError: if `iterations` is negative, `decay` is outside (0, 1], or `energy` returns another shape or a value
            without a gradient in y.

    Examples:
        The energy is highest at y = 3. With a step of 3 plain ascent runs away; with backtracking it arrives.

        >>> def energy(y):
        ...     return -0.5 * (y - 3).square().sum(-1)
        >>> first_guess = torch.zeros(1, 1, 1)
        >>> ascend(energy, first_guess, step=3.0, iterations=8).y
        tensor([[[-765.]]])
        >>> ascend_backtracking(energy, first_guess, step=3.0, iterations=8, decay=0.5).y
        tensor([[[3.0234]]])
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
            new_f, new_grad = checked_value(energy, candidate), grad  # no step follows, so no gradient is needed
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
    """Climb by gradient ascent that stops when f no longer changes, or falls: Algorithm S2.

    The paper uses it for age and head pose (Appendices E.3 and F.3). Each candidate stops by itself: after a step that
    changes its f by less than `stop_threshold` in size, or lowers it by more than `-degeneration_tolerance`. It keeps
    that last step. In one point the function departs from the algorithm: it takes no step to where f is NaN.

    Args:
        energy: (B, M, D) -> (B, M).
        y: (B, M, D) first guesses.
        step: lambda: a number, a tensor broadcast against y, or a function of the current y that returns one of these.
            The paper has 3 for age and 0.1 for head pose.
        iterations: T >= 0.
        stop_threshold: Omega_1, in the unit of f.
        degeneration_tolerance: Omega_2, in the unit of f.

    Returns:
        y and f of that y.

    Raises:
        ValueError: if `iterations` is negative, or `energy` returns another shape or a value without a gradient in y.

    Examples:
        The energy is highest at y = 3. The ascent stops once a step changes f by less than 0.001.

        >>> first_guess = torch.zeros(1, 1, 1)
        >>> ascend_early_stop(lambda y: -0.5 * (y - 3).square().sum(-1), first_guess, step=0.5, iterations=100)
        RefinementResult(y=tensor([[[2.9766]]]), f=tensor([[-0.0003]]))
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
        # Candidates that have stopped are evaluated with the rest: `energy` may expect one fixed shape.
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
