"""The networks of age and head pose: an image encoder with the energy or a baseline's head on top.

A baseline's head has two layers, C -> 2048 -> outputs (E.4, F.4). Each of a density's two parameters has its own head,
and so has each target of a softmax.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ltr.models.regression.image_encoder import ImageEncoder
from ltr.models.regression.joint_energy import JointEnergy

HIDDEN = 2048


class EnergyNet(nn.Module):
    """f(x, y) of images x; see :class:`JointEnergy`.

    Args:
        encoder: the image's network.
        targets: D.
    """

    def __init__(self, encoder: ImageEncoder, targets: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = JointEnergy(encoder.channels, targets)

    def encode(self, x: Tensor) -> Tensor:
        """The features (B, 2048) for :meth:`energy` of images x, uint8 (B, 3, S, S), or of their features (B, C)."""
        return self.head.encode(self.encoder(x))

    def energy(self, features: Tensor, y: Tensor) -> Tensor:
        """f (B, M) of candidates y (B, M, D)."""
        return self.head.energy(features, y)


class DirectNet(nn.Module):
    """A network that outputs the prediction itself."""

    def __init__(self, encoder: ImageEncoder, targets: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = _head(encoder.channels, targets)

    def output(self, x: Tensor) -> Tensor:
        """(B, D)"""
        return self.head(self.encoder(x))


class DensityNet(nn.Module):
    """A network that outputs two parameters of a density, such as a mean and the logarithm of a variance.

    Args:
        encoder: the image's network.
        targets: D.
        log_scale: initial bias of the second parameter. 0 is PyTorch's initialisation, as in the paper.
    """

    def __init__(self, encoder: ImageEncoder, targets: int, log_scale: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.mean = _head(encoder.channels, targets)
        self.log_scale = _head(encoder.channels, targets)
        last = self.log_scale[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.bias.add_(log_scale)

    def output(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) both"""
        g_x = self.encoder(x)
        return self.mean(g_x), self.log_scale(g_x)


class SoftmaxNet(nn.Module):
    """A network that outputs the logits of `num_bins` classes for each of D targets, by a head for each target."""

    def __init__(self, encoder: ImageEncoder, targets: int, num_bins: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleList(_head(encoder.channels, num_bins) for _ in range(targets))

    def output(self, x: Tensor) -> Tensor:
        """(B, D, num_bins)"""
        g_x = self.encoder(x)
        return torch.stack([head(g_x) for head in self.heads], dim=1)


def _head(channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, HIDDEN), nn.ReLU(inplace=True), _ExactLinear(HIDDEN, outputs))


class _ExactLinear(nn.Linear):
    """A linear layer in float32, also under autocast: bfloat16 has no number between 45 and 45.25 years."""

    def forward(self, input: Tensor) -> Tensor:
        with torch.autocast(input.device.type, enabled=False):
            return functional.linear(input.float(), self.weight, self.bias)
