"""Densities of the offset between a proposal and its box; they replace Faster-RCNN's FC-BB (Appendix C).

Each has one linear layer per parameter on a box's features, with outputs for every class. Offsets are those of
torchvision's `BoxCoder`: four for each box, independent of each other given the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ebm_common import elbo_loss, gaussian_loss, gaussian_mixture_loss, gaussian_mixture_mean, laplace_loss

__all__ = ["OffsetDensity", "build_offset_density"]

_STD = 0.001  # of initial weights (C.2)
_LATENT = 10  # dimensions of the cVAE's z (C.1)
_SAMPLES = 128  # of z, in training (C.2) and at test (C.4)


class OffsetDensity(nn.Module):
    """p(offset | features, class).

    Args:
        in_features: C.
        num_classes: with the background, which has outputs too, as in FC-BB, but never a loss.
    """

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.in_features, self.num_classes = in_features, num_classes

    def loss(self, features: Tensor, labels: Tensor, target_offsets: Tensor) -> Tensor:
        """The mean negative log-likelihood of boxes in nats, without constants; for the cVAE, the negative ELBO.

        Args:
            features: (N, C) of proposals that have a box.
            labels: (N,) int64 in 1 to num_classes - 1, the class of the box.
            target_offsets: (N, 4).

        Returns:
            A scalar; 0, with gradients of 0, if there are no boxes.
        """
        if len(features) == 0:
            return 0.0 * torch.stack([parameter.sum() for parameter in self.parameters()]).sum()
        return self._loss(features, labels, target_offsets)

    def mean(self, features: Tensor) -> Tensor:
        """The expected offsets (N, num_classes * 4) of proposals with features (N, C), laid out as FC-BB's."""
        return self._mean(features).flatten(start_dim=1)

    def _layer(self, outputs: int, more_inputs: int = 0) -> nn.Linear:
        """With `outputs` for each class."""
        return _linear(self.in_features + more_inputs, self.num_classes * outputs)

    def _of_all(self, out: Tensor, *shape: int) -> Tensor:
        """Outputs (N, num_classes * ...) of a layer -> (N, num_classes, *shape)."""
        return out.unflatten(1, (self.num_classes, *shape))

    def _of_own(self, out: Tensor, labels: Tensor, *shape: int) -> Tensor:
        """Outputs (N, num_classes * ...) of a layer -> those of each box's own class, (N, *shape)."""
        return self._of_all(out, *shape)[torch.arange(len(labels), device=labels.device), labels]

    def _loss(self, features: Tensor, labels: Tensor, target_offsets: Tensor) -> Tensor:
        raise NotImplementedError

    def _mean(self, features: Tensor) -> Tensor:
        """(N, num_classes, 4)"""
        raise NotImplementedError


class LocationScale(OffsetDensity):
    """A mean and the logarithm of a scale for each offset: FC-BBMean and FC-BBVar of `gaussian` and `laplace`.

    Args:
        in_features, num_classes: see :class:`OffsetDensity`.
        loss: of (mean, log scale, label), (N, 4) each.
    """

    def __init__(self, in_features: int, num_classes: int, loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__(in_features, num_classes)
        self.bb_mean, self.bb_log_scale = self._layer(4), self._layer(4)
        self._of = loss

    def _loss(self, features: Tensor, labels: Tensor, target_offsets: Tensor) -> Tensor:
        mean = self._of_own(self.bb_mean(features), labels, 4)
        return self._of(mean, self._of_own(self.bb_log_scale(features), labels, 4), target_offsets)

    def _mean(self, features: Tensor) -> Tensor:
        return self._of_all(self.bb_mean(features), 4)


class Mixture(OffsetDensity):
    """A mixture of K Gaussians of all four offsets, with weights for every class.

    Args:
        in_features, num_classes: see :class:`OffsetDensity`.
        components: K.
    """

    def __init__(self, in_features: int, num_classes: int, components: int) -> None:
        super().__init__(in_features, num_classes)
        self.components = components
        self.bb_mean, self.bb_log_variance = self._layer(4 * components), self._layer(4 * components)
        self.weights = self._layer(components)

    def _loss(self, features: Tensor, labels: Tensor, target_offsets: Tensor) -> Tensor:
        k = self.components
        return gaussian_mixture_loss(
            self._of_own(self.weights(features), labels, k),
            self._of_own(self.bb_mean(features), labels, k, 4),
            self._of_own(self.bb_log_variance(features), labels, k, 4),
            target_offsets,
        )

    def _mean(self, features: Tensor) -> Tensor:
        k = self.components
        logits, mean = self._of_all(self.weights(features), k), self._of_all(self.bb_mean(features), k, 4)
        return gaussian_mixture_mean(logits.flatten(0, 1), mean.flatten(0, 1)).unflatten(0, (-1, self.num_classes))


class ConditionalVAE(OffsetDensity):
    """A Gaussian given z, which is itself Gaussian given the features; each box has one z for all classes.

    See `elbo_loss`. The layers above z are linear in [features; z]. So training computes only each box's own class for
    every sample, and at test the mean over samples is the output for the mean sample. All boxes share the same 128
    standard normal vectors at test, so detections are repeatable and do not depend on other boxes.
    """

    noise: Tensor

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)
        self.latent_mean, self.latent_log_variance = (_linear(in_features, _LATENT) for _ in range(2))
        self.bb_mean, self.bb_log_variance = self._layer(4, _LATENT), self._layer(4, _LATENT)
        noise = torch.randn(_SAMPLES, _LATENT, generator=torch.Generator().manual_seed(0))
        self.register_buffer("noise", noise, persistent=False)

    def _loss(self, features: Tensor, labels: Tensor, target_offsets: Tensor) -> Tensor:
        mean, log_variance = self._latent(features)
        noise = torch.randn(len(mean), _SAMPLES, _LATENT, device=mean.device, dtype=mean.dtype)
        z = mean[:, None] + (0.5 * log_variance).exp()[:, None] * noise
        box_mean = self._given(self.bb_mean, features, labels, z)
        box_log_variance = self._given(self.bb_log_variance, features, labels, z)
        return elbo_loss(mean, log_variance, box_mean, box_log_variance, target_offsets)

    def _mean(self, features: Tensor) -> Tensor:
        mean, log_variance = self._latent(features)
        z = mean + (0.5 * log_variance).exp() * self.noise.mean(dim=0)
        return self._of_all(self.bb_mean(torch.cat([features, z.to(features.dtype)], dim=1)), 4)

    def _latent(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of z, (N, 10) both, in at least float32."""
        both = self.latent_mean(features), self.latent_log_variance(features)
        dtype = torch.promote_types(both[0].dtype, torch.float32)
        return both[0].to(dtype), both[1].to(dtype)

    def _given(self, layer: nn.Linear, features: Tensor, labels: Tensor, z: Tensor) -> Tensor:
        """A layer's outputs of each box's own class, (N, S, 4), for features (N, C) and z (N, S, 10)."""
        of_features, of_z = layer.weight.split([self.in_features, _LATENT], dim=1)
        own = self._of_own(F.linear(features, of_features, layer.bias), labels, 4)
        return own[:, None] + z @ of_z.unflatten(0, (self.num_classes, 4))[labels].mT


def _half_gaussian_loss(mean: Tensor, log_variance: Tensor, label: Tensor) -> Tensor:
    """Half the loss (S2), which is the negative log-likelihood, as for mixtures: all share a learning rate (C.2)."""
    return 0.5 * gaussian_loss(mean, log_variance, label)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=_STD)
    nn.init.zeros_(layer.bias)
    return layer


_BUILD: dict[str, Callable[[int, int], OffsetDensity]] = {
    "gaussian": partial(LocationScale, loss=_half_gaussian_loss),
    "laplace": partial(LocationScale, loss=laplace_loss),
    "mixture2": partial(Mixture, components=2),
    "mixture4": partial(Mixture, components=4),
    "mixture8": partial(Mixture, components=8),
    "cvae": ConditionalVAE,
}


def build_offset_density(system: str, in_features: int, num_classes: int) -> OffsetDensity:
    """The density of a system, with the paper's initial weights.

    Args:
        system: gaussian, laplace, mixture2, mixture4, mixture8 or cvae.
        in_features: length of a box's features, 1024 with ResNet50-FPN.
        num_classes: with the background.

    Raises:
        ValueError: if there is no such system.
    """
    if system not in _BUILD:
        raise ValueError(f"system must be one of {', '.join(_BUILD)}, got {system!r}")
    return _BUILD[system](in_features, num_classes)
