r"""Maximum likelihood with samples from the model itself, drawn by Langevin dynamics.

The negative log-likelihood has the same gradient as

.. math:: E_{y \sim p(y | x)}\, f(x, y) - f(x, y_i).

It remains to draw from p(y | x), proportional to exp f(x, y). This needs the gradient of f in y, and no Z.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ebm_common.energy import Energy, finite_or_stay, value_and_grad

__all__ = ["contrastive_divergence", "langevin_sample"]


# Inference mode is left before `no_grad`, because leaving it turns gradients on (see `ebm_common.refinement`).
@torch.inference_mode(False)
@torch.no_grad()
def langevin_sample(
    energy: Energy, y: Tensor, step: float | Tensor, iterations: int, generator: torch.Generator | None = None
) -> Tensor:
    r"""Run chains of unadjusted Langevin dynamics (Roberts and Tweedie 1996; Welling and Teh 2011).

    Each of the L = `iterations` steps is

    .. math:: y \leftarrow y + \tfrac{1}{2} \alpha^2 \nabla_y f(x, y) + \alpha \varepsilon,
              \qquad \varepsilon \sim N(0, I)

    The chain's stationary density tends to exp f / Z as alpha goes to zero. For a Gaussian of standard deviation s it
    has the right mean, and the variance times 1 / (1 - (alpha / 2 s)^2). Choose alpha well below the narrowest width of
    the density: from twice that width on, chains run away. Choose L alpha^2 above the square of the widest width, so
    that chains forget where they began.

    Args:
        energy: (B, M, D) -> (B, M).
        y: (B, M, D) where M chains begin. Half precision is promoted to float32, since it would round the steps away.
        step: alpha, a number or a tensor broadcast against y, such as (D,) with one for each dimension. The paper named
            in `contrastive_divergence` has 0.05 and 0.0125 for its two 1-D sets, with L = 16. For boxes its settings
            have 1e-5, with L = 8.
        iterations: L >= 0.
        generator: source of randomness, on the device of `y`; None for the global one.

    Returns:
        (B, M, D), the chains' last states, without a graph. A chain does not take a step that is not finite.

    Raises:
        ValueError: if y is not (B, M, D), `iterations` is negative, or `energy` returns another shape or a value
            without a gradient in y.
    """
    if y.ndim != 3:
        raise ValueError(f"y must have shape (B, M, D), got {tuple(y.shape)}")
    if iterations < 0:
        raise ValueError(f"iterations must not be negative, got {iterations}")
    y = y.detach().to(torch.promote_types(y.dtype, torch.float32), copy=True)
    if isinstance(step, Tensor):
        step = step.to(y)
    for _ in range(iterations):
        _, grad = value_and_grad(energy, y)
        noise = torch.randn(y.shape, generator=generator, device=y.device, dtype=y.dtype)
        y = finite_or_stay(y + 0.5 * step**2 * grad + step * noise, y)
    return y


def contrastive_divergence(f_label: Tensor, f_samples: Tensor) -> Tensor:
    r"""The loss that has the gradient of the negative log-likelihood, if the samples are from p(y | x) (ML-MCMC).

    Gustafsson et al., "How to Train Your Energy-Based Model for Regression" (BMVC 2020):

    .. math:: J = \frac{1}{B} \sum_i \frac{1}{M} \sum_m f(x_i, y_i^m) - f(x_i, y_i)

    With chains that begin at the label, ``langevin_sample(energy, label[:, None].expand(-1, M, -1), ...)``, this is
    contrastive divergence (Hinton 2002). A few steps are then enough near the optimum, where the label is itself a draw
    from p. The value is zero on average at the optimum and does not measure the fit. Only its gradient is of use.

    Prefer it where no proposal covers p(y | x), as in many dimensions: it needs none. It costs L backward passes for
    each step of training. It sees only what chains can reach from the label, and misses a mode far from data.

    Args:
        f_label: (B,) energies of the labels.
        f_samples: (B, M) energies of the samples; the samples themselves carry no graph.

    Returns:
        Scalar, the mean over the batch, in float32 at least.

    Raises:
        ValueError: if the shapes do not fit, or M = 0.
    """
    if f_label.ndim != 1 or f_samples.ndim != 2 or f_label.shape[0] != f_samples.shape[0] or not f_samples.shape[1]:
        raise ValueError(f"f_label must have shape (B,) and f_samples (B, M) with M >= 1, got {tuple(f_label.shape)} "
                         f"and {tuple(f_samples.shape)}")  # fmt: skip
    dtype = torch.promote_types(torch.promote_types(f_label.dtype, f_samples.dtype), torch.float32)
    # Subtract first: the mean of large energies would lose the digits in which they differ.
    return (f_samples.to(dtype) - f_label.to(dtype)[:, None]).mean()
