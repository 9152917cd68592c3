r"""Losses of the score, the gradient of log p(y | x) in y. It is the gradient of f, since Z(x) does not depend on y.

f should be smooth in y. With ReLU alone its score is piecewise constant, and the trace in `score_matching` is zero.
Gustafsson et al. (BMVC 2020) use tanh where y enters. Both losses are local: they see no further than their samples,
and do not compare the heights of modes that lie apart.

Both differentiate the gradient of f once more, in the parameters. Under `torch.no_grad` they return the same value.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ebm_common.energy import Energy, differentiable_grad
from ebm_common.proposals import GaussianMixtureProposal

__all__ = ["denoising_score_matching", "score_matching"]


def score_matching(energy: Energy, y: Tensor) -> Tensor:
    r"""Score matching (Hyvärinen, JMLR 2005).

    SM in Gustafsson et al., "How to Train Your Energy-Based Model for Regression" (BMVC 2020):

    .. math:: J = \frac{1}{B M} \sum_{i, m} \mathrm{tr}\, \nabla_y^2 f(x_i, y_i^m)
                  + \tfrac{1}{2} \|\nabla_y f(x_i, y_i^m)\|^2

    Up to a constant, it is half the expected squared distance between the scores of the model and of the density that y
    is drawn from. The trace is exact, and costs D backward passes.

    Prefer it where you want to choose no noise level and D is small. On finite data the loss has no lower bound: f may
    become ever sharper at the labels. With a flexible network, add noise to them, or take `denoising_score_matching`.

    Args:
        energy: (B, M, D) -> (B, M), twice differentiable in y.
        y: (B, M, D) labels, ``label[:, None]``, or labels with noise.

    Returns:
        Scalar.

    Raises:
        ValueError: if y is not (B, M, D) with all of them >= 1, or `energy` returns another shape or a value without a
            gradient in y.
    """
    if y.ndim != 3 or not y.numel():
        raise ValueError(f"y must have shape (B, M, D) with M, D >= 1, got {tuple(y.shape)}")
    keep = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.enable_grad():
        y = _leaf(y)
        grad = differentiable_grad(energy, y)
        trace = torch.zeros_like(grad[..., 0])
        if grad.requires_grad:  # a constant gradient has a trace of zero
            for d in range(y.shape[-1]):
                (row,) = torch.autograd.grad(grad[..., d].sum(), y, create_graph=True, materialize_grads=True)
                trace = trace + row[..., d]
        loss = (trace + 0.5 * grad.square().sum(dim=-1)).mean()
    return loss if keep else loss.detach()


def denoising_score_matching(
    energy: Energy,
    label: Tensor,
    sigma: float | Tensor | Sequence[float],
    num_samples: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Denoising score matching (Vincent, Neural Computation 2011).

    DSM in Gustafsson et al., "How to Train Your Energy-Based Model for Regression" (BMVC 2020):

    .. math:: J = \frac{1}{B M} \sum_{i, m} \Big\| \nabla_y f(x_i, y_i^m) + \frac{y_i^m - y_i}{\sigma^2} \Big\|^2,
              \qquad y_i^m \sim N(y_i, \sigma^2)

    Its optimum is the density of the labels with that noise added: the variance of p(y | x) is larger by sigma^2. A
    small sigma changes the density less but makes the loss noisier: the second term alone is D / sigma^2 on average.

    Prefer it to `score_matching`: it has no trace to compute, and is bounded below. Prefer importance sampling to both
    where p(y | x) has separate modes.

    Args:
        energy: (B, M, D) -> (B, M).
        label: (B, D).
        sigma: standard deviation of the noise, one number or D of them. The paper has 0.2 and 0.075 for its two 1-D
            sets, and 0.075 in relative coordinates of boxes.
        num_samples: M >= 1. The paper has 1024 in 1-D.
        generator: source of randomness, on the device of `label`; None for the global one.

    Returns:
        Scalar.

    Raises:
        ValueError: if the shapes do not fit, sigma is not positive and finite, M < 1, or `energy` returns another shape
            or a value without a gradient in y.
    """
    noise = GaussianMixtureProposal(torch.as_tensor(sigma, dtype=torch.float64).reshape(1, -1))
    keep = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.enable_grad():
        center = label.detach().to(torch.promote_types(label.dtype, torch.float32))
        y = _leaf(noise.sample(center, num_samples, generator))
        target = (center[:, None] - y.detach()) / noise.sigmas.to(center).square()
        loss = (differentiable_grad(energy, y) - target).square().sum(dim=-1).mean()
    return loss if keep else loss.detach()


def _leaf(y: Tensor) -> Tensor:
    """A copy that requires a gradient. Half precision becomes float32."""
    return y.detach().to(torch.promote_types(y.dtype, torch.float32), copy=True).requires_grad_()
