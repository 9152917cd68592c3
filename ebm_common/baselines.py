r"""The baselines of the paper (Appendices B, C, E.4, F.4): their losses, and what they predict.

A baseline network outputs the target itself, a Gaussian, a Laplace density, a mixture of Gaussians, a Gaussian given a
latent variable, or probabilities of bins. A direct network predicts its output, Gaussian and Laplace networks their
`mean`, and the others their expected value.

Losses are sums over the D dimensions of a target and means over the batch. Constants that no parameter changes are left
out, as in the paper. Logarithms of scales are not clamped: float32 holds the losses for |log| <= 50 and errors up to
1e7. The functions compute half-precision input in float32.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "SoftmaxBins",
    "SoftmaxMoments",
    "elbo_loss",
    "gaussian_loss",
    "gaussian_mixture_loss",
    "gaussian_mixture_mean",
    "huber_loss",
    "l2_loss",
    "laplace_loss",
    "multivariate_laplace_loss",
]


def l2_loss(prediction: Tensor, label: Tensor) -> Tensor:
    """The squared error ||y - prediction||^2, which is D times `torch.nn.functional.mse_loss`.

    Args:
        prediction, label: (B, D).

    Returns:
        Scalar, the mean over the batch, in float32 at least.

    Raises:
        ValueError: if the shapes differ or are not (B, D).
    """
    prediction, label = _matched(prediction=prediction, label=label)
    return F.mse_loss(prediction, label, reduction="sum") / len(label)


def huber_loss(prediction: Tensor, label: Tensor) -> Tensor:
    """Huber's loss (1964), linear beyond an error of 1. It is D times `torch.nn.functional.huber_loss`.

    Args:
        prediction, label: (B, D).

    Returns:
        Scalar, the mean over the batch, in float32 at least.

    Raises:
        ValueError: if the shapes differ or are not (B, D).
    """
    prediction, label = _matched(prediction=prediction, label=label)
    return F.huber_loss(prediction, label, reduction="sum") / len(label)


def gaussian_loss(mean: Tensor, log_variance: Tensor, label: Tensor) -> Tensor:
    r"""Twice the negative log-likelihood of a Gaussian with diagonal covariance (S2, S4, S8), less D log 2 pi:

    .. math:: \sum_k (y_k - \mu_k)^2 / \sigma_k^2 + \log \sigma_k^2.

    Args:
        mean, log_variance, label: (B, D).

    Returns:
        Scalar, the mean over the batch, in float32 at least.

    Raises:
        ValueError: if the shapes differ or are not (B, D).
    """
    mean, log_variance, label = _matched(mean=mean, log_variance=log_variance, label=label)
    z = (label - mean) * (-0.5 * log_variance).exp()
    return (z.square() + log_variance).sum(dim=1).mean()


def laplace_loss(mean: Tensor, log_scale: Tensor, label: Tensor) -> Tensor:
    r"""The negative log-likelihood of a Laplace density (S6), less D log 2:

    .. math:: \sum_k |y_k - \mu_k| / \beta_k + \log \beta_k.

    For D > 1 it is a product of Laplace densities, as in detection (Appendix C.1). Head pose has another density, see
    `multivariate_laplace_loss`.

    Args:
        mean, log_scale, label: (B, D); log_scale is log beta.

    Returns:
        Scalar, the mean over the batch, in float32 at least.

    Raises:
        ValueError: if the shapes differ or are not (B, D).
    """
    mean, log_scale, label = _matched(mean=mean, log_scale=log_scale, label=label)
    return ((label - mean).abs() * (-log_scale).exp() + log_scale).sum(dim=1).mean()


def multivariate_laplace_loss(mean: Tensor, log_beta: Tensor, label: Tensor) -> Tensor:
    r"""The loss (S10) of the Laplace density of Gast and Roth (CVPR 2018) with diagonal scale (S9).

    It is twice the negative log-likelihood, less a constant, so that both factors 1/2 of (S9) vanish:

    .. math:: \Big(\sum_k (y_k - \mu_k)^2 / \beta_k\Big)^{1/2} + \sum_k \log \beta_k.

    The density is not a product of Laplace densities: its contours are ellipses, and the dimensions are uncorrelated
    but not independent. beta_k has the unit of a squared target. For D = 1 this is a Laplace density of scale
    2 sqrt(beta), where `laplace_loss` has scale beta.

    Args:
        mean, log_beta, label: (B, D).

    Returns:
        Scalar, the mean over the batch, in float32 at least.

    Raises:
        ValueError: if the shapes differ or are not (B, D).
    """
    mean, log_beta, label = _matched(mean=mean, log_beta=log_beta, label=label)
    z = (label - mean) * (-0.5 * log_beta).exp()
    # At z = 0 the root has no gradient. vector_norm gives 0 there, sqrt would give NaN.
    distance: Tensor = torch.linalg.vector_norm(z, dim=1)
    return (distance + log_beta.sum(dim=1)).mean()


def gaussian_mixture_loss(logits: Tensor, mean: Tensor, log_variance: Tensor, label: Tensor) -> Tensor:
    r"""The negative log-likelihood of a mixture of K Gaussians with diagonal covariances (C.1), less D/2 log 2 pi:

    .. math:: -\log \sum_k \pi_k
        \exp\Big(-\frac{1}{2} \sum_d \big((y_d - \mu_{kd})^2 / \sigma_{kd}^2 + \log \sigma_{kd}^2\big)\Big).

    Each component covers all D dimensions together. For K = 1 this is half of `gaussian_loss`.

    Args:
        logits: (B, K); pi is their softmax.
        mean, log_variance: (B, K, D).
        label: (B, D).

    Returns:
        Scalar, the mean over the batch, in float32 at least.

    Raises:
        ValueError: if the shapes do not fit.
    """
    logits, mean, log_variance, label = _shaped(
        logits=(logits, "BK"), mean=(mean, "BKD"), log_variance=(log_variance, "BKD"), label=(label, "BD")
    )
    log_density = _log_density(mean, log_variance, label[:, None])
    return -torch.logsumexp(logits.log_softmax(dim=1) + log_density, dim=1).mean()


def gaussian_mixture_mean(logits: Tensor, mean: Tensor) -> Tensor:
    """The expected value of a mixture, sum of pi_k mu_k, which is its prediction (C.4).

    Args:
        logits: (B, K); pi is their softmax.
        mean: (B, K, D).

    Returns:
        (B, D)

    Raises:
        ValueError: if the shapes do not fit.
    """
    logits, mean = _shaped(logits=(logits, "BK"), mean=(mean, "BKD"))
    return (logits.softmax(dim=1)[:, :, None] * mean).sum(dim=1)


def elbo_loss(
    latent_mean: Tensor, latent_log_variance: Tensor, mean: Tensor, log_variance: Tensor, label: Tensor
) -> Tensor:
    r"""The negative evidence lower bound of a conditional variational autoencoder (C.1, C.2), less D/2 log 2 pi:

    .. math:: -\frac{1}{S} \sum_s \log N(y; \mu(x, z_s), \sigma^2(x, z_s)) + KL(q(z|x) \,\|\, N(0, I)),
        \quad z_s \sim q(z|x).

    The paper has one Gaussian for the latent z. The layers that predict it replace those that predict the box, and see
    the features of x but not the label. So q is q(z|x), the same in training and at test, and N(0, I) is its prior. An
    encoder q(z|x, y) that sees y as well would need further layers, which the paper does not have. It follows that z
    carries no information about y, and that the lowest loss is that of a Gaussian for every z, with q = N(0, I).

    Args:
        latent_mean, latent_log_variance: (B, Z), of the diagonal Gaussian q(z|x).
        mean, log_variance: (B, S, D), given each of S samples of z.
        label: (B, D).

    Returns:
        Scalar, the mean over the batch, in float32 at least.

    Raises:
        ValueError: if the shapes do not fit.
    """
    latent_mean, latent_log_variance, mean, log_variance, label = _shaped(
        latent_mean=(latent_mean, "BZ"),
        latent_log_variance=(latent_log_variance, "BZ"),
        mean=(mean, "BSD"),
        log_variance=(log_variance, "BSD"),
        label=(label, "BD"),
    )
    log_likelihood = _log_density(mean, log_variance, label[:, None]).mean(dim=1)
    # expm1(v) - v and not exp(v) - 1 - v, which cancels digits near N(0, I), where training ends.
    kl = 0.5 * (latent_mean.square() + latent_log_variance.expm1() - latent_log_variance).sum(dim=1)
    return (kl - log_likelihood).mean()


class SoftmaxMoments(NamedTuple):
    """Expected value and variance of a target, given probabilities of bins.

    Attributes:
        mean: (B, D), in the unit of the bins.
        variance: (B, D), in the squared unit of the bins.
    """

    mean: Tensor
    variance: Tensor


class SoftmaxBins:
    """Evenly spaced bins, the same in each dimension, for networks that classify a target (E.4, F.4).

    Args:
        lower, upper: value of the first and the last bin, such as 0 and 100 years, or -75 and 75 degrees.
        num_bins: C >= 2 bins. The paper has 101 for age, 151 for head pose.

    Raises:
        ValueError: if lower >= upper, or there are fewer than two bins.

    Examples:
        The network holds 20 and 40 years for equally likely.

        >>> bins = SoftmaxBins(0, 100, 101)
        >>> logits = torch.full((1, 1, 101), -1000.0)
        >>> logits[..., [20, 40]] = 0.0
        >>> bins.moments(logits)
        SoftmaxMoments(mean=tensor([[30.]]), variance=tensor([[100.]]))
    """

    def __init__(self, lower: float, upper: float, num_bins: int) -> None:
        if not (lower < upper and num_bins >= 2):
            raise ValueError(f"bins need lower < upper and at least 2 of them, got {lower}, {upper} and {num_bins}")
        self.lower, self.upper, self.num_bins = lower, upper, num_bins

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.lower}, {self.upper}, {self.num_bins})"

    def moments(self, logits: Tensor) -> SoftmaxMoments:
        """The expected value, which is the prediction, and the variance.

        Args:
            logits: (B, D, C).

        Raises:
            ValueError: if `logits` is not (B, D, C).
        """
        logits = self._checked(logits)
        value = torch.linspace(self.lower, self.upper, self.num_bins, device=logits.device, dtype=logits.dtype)
        with torch.autocast(logits.device.type, enabled=False):  # bfloat16 would round ages to a quarter of a year
            probability = logits.softmax(dim=-1)
            mean = probability @ value
            variance = (probability * (value - mean[..., None]).square()).sum(dim=-1)
        return SoftmaxMoments(mean, variance)

    def nearest(self, label: Tensor) -> Tensor:
        """The index of the bin nearest to each label, in the shape of `label`. Of two equally near it is the even one.

        Raises:
            ValueError: if a label lies more than half a bin outside, or is NaN.
        """
        width = (self.upper - self.lower) / (self.num_bins - 1)
        position = (label.to(torch.promote_types(label.dtype, torch.float32)) - self.lower) / width
        inside = (position >= -0.5) & (position <= self.num_bins - 0.5)
        if not inside.all():
            raise ValueError(f"labels must lie within the bins, {self.lower} to {self.upper}, but one is "
                             f"{label[~inside][0].item()}")  # fmt: skip
        return position.round().clamp(0, self.num_bins - 1).long()

    def loss(self, logits: Tensor, label: Tensor, variance_weight: float = 0.0) -> Tensor:
        r"""Cross-entropy, squared error of the expected value, and variance (E.4, F.4):

        .. math:: J = J_{CE} + 0.1 J_{L^2} + w J_{Var}.

        The last two terms are the mean-variance loss of Pan et al. (CVPR 2018), whose 0.2 weighs half the squared
        error. The class is the bin nearest to the label; the squared error is to the label itself. The variance is that
        of the predicted probabilities about their own mean.

        Args:
            logits: (B, D, C).
            label: (B, D), in the unit of the bins.
            variance_weight: w, 0.05 where the paper says "CE, L2 & Var".

        Returns:
            Scalar, the mean over the batch, in float32 at least.

        Raises:
            ValueError: if the shapes do not fit, or a label lies outside the bins.
        """
        logits = self._checked(logits)
        if label.shape != logits.shape[:2]:
            raise ValueError(f"label must have shape (B, D) for logits (B, D, C), got {tuple(label.shape)} for "
                             f"{tuple(logits.shape)}")  # fmt: skip
        mean, variance = self.moments(logits)
        cross_entropy = F.cross_entropy(logits.mT, self.nearest(label), reduction="none")  # (B, D)
        squared_error = (mean - label.to(mean.dtype)).square()
        return (cross_entropy + 0.1 * squared_error + variance_weight * variance).sum(dim=1).mean()

    def _checked(self, logits: Tensor) -> Tensor:
        if logits.ndim != 3 or logits.shape[2] != self.num_bins:
            raise ValueError(f"logits must have shape (B, D, {self.num_bins}), got {tuple(logits.shape)}")
        return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _log_density(mean: Tensor, log_variance: Tensor, y: Tensor) -> Tensor:
    """Log-density (...) of a diagonal Gaussian at y, all (..., D) and broadcast, plus D/2 log 2 pi."""
    z = (y - mean) * (-0.5 * log_variance).exp()
    return -0.5 * (z.square() + log_variance).sum(dim=-1)


def _matched(**tensors: Tensor) -> list[Tensor]:
    """Cast tensors of one shape (B, D) to one dtype. No broadcasting: (B, 1) with (B,) would silently be (B, B)."""
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if len(set(shapes.values())) != 1 or any(len(shape) != 2 for shape in shapes.values()):
        raise ValueError(f"all must have the same shape (B, D), got {shapes}")
    return _in_one_dtype(tensors.values())


def _shaped(**tensors: tuple[Tensor, str]) -> list[Tensor]:
    """Like `_matched`, for shapes that are spelled out: a letter for each dimension, and one length for each letter."""
    lengths: dict[str, int] = {}
    for tensor, letters in tensors.values():
        same = (lengths.setdefault(k, n) == n for k, n in zip(letters, tensor.shape, strict=False))
        if tensor.ndim != len(letters) or not all(same):
            expected = ", ".join(f"{name} ({', '.join(letters)})" for name, (_, letters) in tensors.items())
            shapes = {name: tuple(tensor.shape) for name, (tensor, _) in tensors.items()}
            raise ValueError(f"shapes must be {expected}, got {shapes}")
    return _in_one_dtype(tensor for tensor, _ in tensors.values())


def _in_one_dtype(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Cast to the smallest dtype that holds all, float32 at least."""
    tensors = list(tensors)
    dtype = reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)
    return [tensor.to(dtype) for tensor in tensors]
