r"""From energies and proposal densities to a number.

With y_m drawn from q, importance sampling estimates the normalising constant by

.. math:: Z(x) = \int e^{f(x, y)} dy \approx \frac{1}{M} \sum_{m=1}^{M} e^{f(x, y_m)} / q(y_m),

and everything here is computed from log f - log q by logsumexp, so that no energy overflows.

Two things to know of the samples:

- They are exactly what was drawn from q, and M is their number. The label itself is not one of them: it was not drawn
  from q, and its weight would bias the estimate. To evaluate the network once for both, put the label first and split:
  ``f = energy(features, torch.cat([label[:, None], samples], 1)); nll(f[:, 0], f[:, 1:], log_q)``. PyTracking's tracker
  loss does the same (128 samples and the label in element 0, whose proposal density is only a mark, outside the sum).
- Half-precision input, as under autocast, is computed in float32.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = [
    "effective_sample_size",
    "kl_importance_sampling",
    "log_partition_importance_sampling",
    "nll_importance_sampling",
    "noise_contrastive_estimation",
]


def nll_importance_sampling(f_label: Tensor, f_samples: Tensor, log_q: Tensor) -> Tensor:
    r"""Negative log-likelihood with the normalising constant estimated by importance sampling (Eq. 4).

    .. math:: J = \frac{1}{B} \sum_i \log\Big(\frac{1}{M} \sum_m e^{f(x_i, y_i^m)} / q(y_i^m | y_i)\Big) - f(x_i, y_i)

    Args:
        f_label: (B,) energies of the labels.
        f_samples: (B, M) energies of the samples, the label not among them.
        log_q: (B, M) log-densities of the samples under the proposal.

    Returns:
        Scalar, the mean over the batch. It can be negative: densities exceed one.

    Raises:
        ValueError: the shapes do not fit.
    """
    if f_label.ndim != 1 or f_samples.ndim != 2 or f_label.shape[0] != f_samples.shape[0]:
        raise ValueError(f"f_label must have shape (B,) and f_samples (B, M), got {tuple(f_label.shape)} and "
                         f"{tuple(f_samples.shape)}")  # fmt: skip
    log_z = log_partition_importance_sampling(f_samples, log_q)
    return (log_z - f_label.to(log_z.dtype)).mean()


def kl_importance_sampling(f_samples: Tensor, log_q: Tensor, log_p: Tensor) -> Tensor:
    r"""Kullback-Leibler divergence from a density around the label to the model, by importance sampling: KLD-IS in
    Gustafsson et al., "How to Train Your Energy-Based Model for Regression" (BMVC 2020).

    .. math:: J = \frac{1}{B} \sum_i \log\Big(\frac{1}{M} \sum_m e^{f(x_i, y_i^m)} / q(y_i^m | y_i)\Big)
              - \frac{1}{M} \sum_m \frac{p(y_i^m | y_i)}{q(y_i^m | y_i)} f(x_i, y_i^m)

    This estimates KL(p(y | y_i) || p(y | x_i)) plus the entropy of p(y | y_i), which no parameter changes. p(y | y_i)
    says where the true target may be, given a label that is not exact: a Gaussian of width sigma_gt, whose logarithm is
    ``GaussianMixtureProposal([sigma_gt]).log_prob(y, label)``. As sigma_gt goes to zero this is
    `nll_importance_sampling`; the density that is learned is wider by sigma_gt^2 in variance.

    Prefer it to the likelihood where labels are noisy by a known amount. q must have samples where p is: with a
    sigma_gt far below the narrowest width of q hardly one has any weight. A constant added to f changes the loss by
    that constant times 1 minus the mean of p / q, which is zero only on average: keep energies near zero.

    Args:
        f_samples: (B, M) energies of samples from q.
        log_q: (B, M) log-densities of the samples under the proposal.
        log_p: (B, M) log-densities of the samples under p(y | y_i). The paper has sigma_gt = 0.025 in 1-D, 0.0225 for
            relative coordinates of boxes.

    Returns:
        Scalar, the mean over the batch.

    Raises:
        ValueError: the shapes differ, are not (B, M), or M = 0.
    """
    log_z = log_partition_importance_sampling(f_samples, log_q)
    log_ratio = _log_weights(log_p, log_q)
    return (log_z - (log_ratio.exp() * f_samples.to(log_ratio.dtype)).mean(dim=1)).mean()


def noise_contrastive_estimation(f_label: Tensor, f_samples: Tensor, log_q_label: Tensor, log_q: Tensor) -> Tensor:
    r"""Which of M + 1 candidates is the label? Ranking noise contrastive estimation (Gutmann and Hyvärinen, AISTATS
    2010; Jozefowicz et al. 2016; Ma and Collins, EMNLP 2018), NCE and NCE+ in Gustafsson et al., "How to Train Your
    Energy-Based Model for Regression" (BMVC 2020).

    .. math:: J = -\frac{1}{B} \sum_i \log \frac{e^{f(x_i, y_i^0)} / q(y_i^0 | y_i)}
                                              {\sum_{m=0}^{M} e^{f(x_i, y_i^m)} / q(y_i^m | y_i)}

    - NCE: y^0 is the label, so ``log_q_label = q.log_prob(label[:, None], label)[:, 0]``.
    - NCE+: y^0 is the label with noise of the proposal's own shape, ``q.scaled(beta).sample(label, 1)``, and its
      density is that under q itself. (The published code scales standard deviations, as `scaled` does.) It stands for
      annotations that are not exact: the density that is learned is that of noisy labels. The paper has beta 0.025 in
      1-D, 0.1 for boxes, and recommends it over all others that it compared.

    A cross-entropy over candidates: it is never negative, log(M + 1) where f says no more than q, and better behaved
    than the likelihood where few samples carry the weight, since the label is always among those in the sum. If q
    depends on x alone, the optimum is the true density for every M; with q around the label, as here, only as M grows,
    where the gradient becomes that of `nll_importance_sampling`. A constant added to f changes nothing.

    Args:
        f_label: (B,) energies of y^0.
        f_samples: (B, M) energies of samples from q, y^0 not among them.
        log_q_label: (B,) log-densities of y^0 under the proposal.
        log_q: (B, M) log-densities of the samples under the proposal.

    Returns:
        Scalar, the mean over the batch.

    Raises:
        ValueError: the shapes do not fit.
    """
    log_w = _log_weights(f_samples, log_q)
    if not f_label.shape == log_q_label.shape == log_w.shape[:1]:
        raise ValueError(f"f_label and log_q_label must both have shape (B,) for f_samples (B, M), got "
                         f"{tuple(f_label.shape)} and {tuple(log_q_label.shape)} for {tuple(log_w.shape)}")  # fmt: skip
    log_w_label = f_label.to(log_w.dtype) - log_q_label.to(log_w.dtype)
    return -torch.cat([log_w_label[:, None], log_w], dim=1).log_softmax(dim=1)[:, 0].mean()


def log_partition_importance_sampling(f_samples: Tensor, log_q: Tensor) -> Tensor:
    """Estimate of log Z, (B,), from (B, M) energies and log-densities of the samples: the inner part of Eq. 4.

    exp of it is unbiased for Z; the logarithm is low by about (M / ESS - 1) / (2 M), see `effective_sample_size`.

    Raises:
        ValueError: the shapes differ, are not (B, M), or M = 0.
    """
    return torch.logsumexp(_log_weights(f_samples, log_q), dim=1) - math.log(f_samples.shape[1])


def effective_sample_size(f_samples: Tensor, log_q: Tensor) -> Tensor:
    """Kish's effective number of samples, (sum w)^2 / sum w^2 with w = exp(f - log q), for each row: (B,) in [1, M].

    M where q is proportional to exp f, 1 where a single sample carries all the weight and log Z is not to be trusted.

    Raises:
        ValueError: the shapes differ, are not (B, M), or M = 0.
    """
    log_w = _log_weights(f_samples, log_q)
    # Relative to the largest weight, so that the two logsumexp of large energies do not cancel digits away.
    log_w = log_w - log_w.amax(dim=1, keepdim=True)
    return (2 * torch.logsumexp(log_w, dim=1) - torch.logsumexp(2 * log_w, dim=1)).exp()


def _log_weights(f_samples: Tensor, log_q: Tensor) -> Tensor:
    if f_samples.ndim != 2 or f_samples.shape != log_q.shape or f_samples.shape[1] == 0:
        raise ValueError(f"f_samples and log_q must both have shape (B, M) with M >= 1, got {tuple(f_samples.shape)} "
                         f"and {tuple(log_q.shape)}")  # fmt: skip
    dtype = torch.promote_types(torch.promote_types(f_samples.dtype, log_q.dtype), torch.float32)
    return f_samples.to(dtype) - log_q.to(dtype)
