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

__all__ = ["effective_sample_size", "log_partition_importance_sampling", "nll_importance_sampling"]


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
