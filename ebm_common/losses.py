r"""Losses that need the energies of labels and of samples from a proposal q. Eq. 4 is `nll_importance_sampling`.

With samples y_m from q, importance sampling estimates the normalising constant:

.. math:: Z(x) = \int e^{f(x, y)} dy \approx \frac{1}{M} \sum_{m=1}^{M} e^{f(x, y_m)} / q(y_m).

All functions compute with f - log q and logsumexp, so that no energy overflows. They compute half-precision input, as
under autocast, in float32.

The M samples are exactly those drawn from q. The label is not one of them: it was not drawn from q, and its weight
would bias the estimate. To evaluate the network once for both, put the label first and split the energies:
``f = energy(torch.cat([label[:, None], samples], dim=1))``, then ``f[:, 0]`` and ``f[:, 1:]``. (PyTracking's tracker
loss does the same. It has 128 samples, and the label in element 0, whose proposal density is a marker outside the sum.)
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
    r"""The negative log-likelihood, with the normalising constant estimated by importance sampling (Eq. 4).

    .. math:: J = \frac{1}{B} \sum_i \log\Big(\frac{1}{M} \sum_m e^{f(x_i, y_i^m)} / q(y_i^m | y_i)\Big) - f(x_i, y_i)

    Args:
        f_label: (B,) energies of the labels.
        f_samples: (B, M) energies of the samples, the label not among them.
        log_q: (B, M) log-densities of the samples under the proposal.

    Returns:
        Scalar, the mean over the batch. It can be negative, because densities can exceed one.

    Raises:
        ValueError: if the shapes do not fit, or M = 0.

    Examples:
        f = -y^2 / 2 is a standard normal density without its constant. At y = 0 the loss is log(2 pi) / 2 = 0.919.

        >>> from ebm_common import GaussianMixtureProposal
        >>> def energy(y):
        ...     return -0.5 * y.square().sum(-1)
        >>> label, q = torch.zeros(1, 1), GaussianMixtureProposal([0.5, 2.0])
        >>> y = q.sample(label, 100_000, torch.Generator().manual_seed(0))
        >>> loss = nll_importance_sampling(energy(label[:, None])[:, 0], energy(y), q.log_prob(y, label))
        >>> print(f"{loss:.2f}")
        0.92
    """
    if f_label.ndim != 1 or f_samples.ndim != 2 or f_label.shape[0] != f_samples.shape[0]:
        raise ValueError(f"f_label must have shape (B,) and f_samples (B, M), got {tuple(f_label.shape)} and "
                         f"{tuple(f_samples.shape)}")  # fmt: skip
    log_z = log_partition_importance_sampling(f_samples, log_q)
    return (log_z - f_label.to(log_z.dtype)).mean()


def kl_importance_sampling(f_samples: Tensor, log_q: Tensor, log_p: Tensor) -> Tensor:
    r"""The Kullback-Leibler divergence from a density around the label to the model, by importance sampling (KLD-IS).

    Gustafsson et al., "How to Train Your Energy-Based Model for Regression" (BMVC 2020):

    .. math:: J = \frac{1}{B} \sum_i \log\Big(\frac{1}{M} \sum_m e^{f(x_i, y_i^m)} / q(y_i^m | y_i)\Big)
              - \frac{1}{M} \sum_m \frac{p(y_i^m | y_i)}{q(y_i^m | y_i)} f(x_i, y_i^m)

    This estimates KL(p(y | y_i) || p(y | x_i)) plus the entropy of p(y | y_i), which no parameter changes. p(y | y_i)
    says where the true target may be, given a label that is not exact: a Gaussian of width sigma_gt, whose logarithm is
    ``GaussianMixtureProposal([sigma_gt]).log_prob(y, label)``. As sigma_gt goes to zero, the loss becomes
    `nll_importance_sampling`. Otherwise the variance of the learned density is larger by sigma_gt^2.

    Prefer it to the likelihood where labels are noisy by a known amount. q must have samples where p is: if sigma_gt is
    far below the narrowest width of q, hardly any sample has weight. A constant added to f changes the loss by that
    constant times 1 minus the mean of p / q, which is zero only on average. Keep energies near zero.

    Args:
        f_samples: (B, M) energies of samples from q.
        log_q: (B, M) log-densities of the samples under the proposal.
        log_p: (B, M) log-densities of the samples under p(y | y_i). The paper has sigma_gt = 0.025 in 1-D, 0.0225 for
            relative coordinates of boxes.

    Returns:
        Scalar, the mean over the batch.

    Raises:
        ValueError: if the shapes differ, are not (B, M), or M = 0.
    """
    log_z = log_partition_importance_sampling(f_samples, log_q)
    log_ratio = _log_weights(log_p, log_q)
    return (log_z - (log_ratio.exp() * f_samples.to(log_ratio.dtype)).mean(dim=1)).mean()


def noise_contrastive_estimation(f_label: Tensor, f_samples: Tensor, log_q_label: Tensor, log_q: Tensor) -> Tensor:
    r"""Noise contrastive estimation: which of M + 1 candidates is the label? (NCE and NCE+.)

    The ranking form (Gutmann and Hyvärinen, AISTATS 2010; Jozefowicz et al. 2016; Ma and Collins, EMNLP 2018), as in
    Gustafsson et al., "How to Train Your Energy-Based Model for Regression" (BMVC 2020):

    .. math:: J = -\frac{1}{B} \sum_i \log \frac{e^{f(x_i, y_i^0)} / q(y_i^0 | y_i)}
                                              {\sum_{m=0}^{M} e^{f(x_i, y_i^m)} / q(y_i^m | y_i)}

    - NCE: y^0 is the label, so ``log_q_label = q.log_prob(label[:, None], label)[:, 0]``.
    - NCE+: y^0 is the label with noise of the proposal's own shape, ``q.scaled(beta).sample(label, 1)``, and its
      density is that under q itself. (The published code scales standard deviations, as `scaled` does.) The noise
      models inexact annotations, and the model learns the density of noisy labels. The paper uses beta = 0.025 in 1-D
      and 0.1 for boxes, and recommends NCE+ over all other losses that it compared.

    The loss is a cross-entropy over candidates. It is never negative, and equals log(M + 1) where f says no more than
    q. Where few samples carry the weight it is better behaved than the likelihood, since the sum always includes the
    label. If q depends on x alone, the optimum is the true density for every M. With q around the label, as here, it is
    so only as M grows, and the gradient becomes that of `nll_importance_sampling`. Adding a constant to f leaves the
    loss unchanged.

    Args:
        f_label: (B,) energies of y^0.
        f_samples: (B, M) energies of samples from q, y^0 not among them.
        log_q_label: (B,) log-densities of y^0 under the proposal.
        log_q: (B, M) log-densities of the samples under the proposal.

    Returns:
        Scalar, the mean over the batch.

    Raises:
        ValueError: if the shapes do not fit, or M = 0.

    Examples:
        With f = log q the model cannot tell the label from M = 7 samples: the loss is log 8 = 2.079. An energy that is
        higher by 5 at the label finds it.

        >>> log_q = torch.linspace(-3.0, 1.0, 7)[None]
        >>> log_q_label = torch.tensor([1.5])
        >>> noise_contrastive_estimation(log_q_label, log_q, log_q_label, log_q)
        tensor(2.0794)
        >>> noise_contrastive_estimation(log_q_label + 5, log_q, log_q_label, log_q)
        tensor(0.0461)
    """
    log_w = _log_weights(f_samples, log_q)
    if not f_label.shape == log_q_label.shape == log_w.shape[:1]:
        raise ValueError(f"f_label and log_q_label must both have shape (B,) for f_samples (B, M), got "
                         f"{tuple(f_label.shape)} and {tuple(log_q_label.shape)} for {tuple(log_w.shape)}")  # fmt: skip
    log_w_label = f_label.to(log_w.dtype) - log_q_label.to(log_w.dtype)
    return -torch.cat([log_w_label[:, None], log_w], dim=1).log_softmax(dim=1)[:, 0].mean()


def log_partition_importance_sampling(f_samples: Tensor, log_q: Tensor) -> Tensor:
    """Estimate log Z by importance sampling: the first term of Eq. 4.

    Its exponential is an unbiased estimate of Z. The logarithm itself is too low by about (M / ESS - 1) / (2 M), where
    ESS is the `effective_sample_size`.

    Args:
        f_samples: (B, M) energies of the samples.
        log_q: (B, M) log-densities of the samples under the proposal.

    Returns:
        (B,), in float32 at least.

    Raises:
        ValueError: if the shapes differ, are not (B, M), or M = 0.
    """
    return torch.logsumexp(_log_weights(f_samples, log_q), dim=1) - math.log(f_samples.shape[1])


def effective_sample_size(f_samples: Tensor, log_q: Tensor) -> Tensor:
    """Kish's effective number of samples: (sum w)^2 / sum w^2 with w = exp(f - log q).

    It is M where q is proportional to exp f. It is 1 where a single sample carries all the weight; do not trust log Z
    then.

    Args:
        f_samples: (B, M) energies of the samples.
        log_q: (B, M) log-densities of the samples under the proposal.

    Returns:
        (B,) in [1, M].

    Raises:
        ValueError: if the shapes differ, are not (B, M), or M = 0.
    """
    log_w = _log_weights(f_samples, log_q)
    # Relative to the largest weight: the two logsumexp of large energies would cancel digits away.
    log_w = log_w - log_w.amax(dim=1, keepdim=True)
    return (2 * torch.logsumexp(log_w, dim=1) - torch.logsumexp(2 * log_w, dim=1)).exp()


def _log_weights(f_samples: Tensor, log_q: Tensor) -> Tensor:
    if f_samples.ndim != 2 or f_samples.shape != log_q.shape or f_samples.shape[1] == 0:
        raise ValueError(f"f_samples and log_q must both have shape (B, M) with M >= 1, got {tuple(f_samples.shape)} "
                         f"and {tuple(log_q.shape)}")  # fmt: skip
    dtype = torch.promote_types(torch.promote_types(f_samples.dtype, log_q.dtype), torch.float32)
    return f_samples.to(dtype) - log_q.to(dtype)
