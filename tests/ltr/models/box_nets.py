"""Small box networks with random weights, and features for them."""

import torch
from torch import nn

from ltr.models.bbreg import AtomIoUNet


def small_net(seed: int = 0) -> AtomIoUNet:
    """A narrow network with its batch norms moved off their initial state, in evaluation mode."""
    torch.manual_seed(seed)
    net = AtomIoUNet((6, 10), (8, 12), (16, 14), (4.0, 10.0))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.bias, std=0.2)
    return net.eval()


def levels(batch: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    return {
        "stride8": torch.randn(batch, 6, 18, 18, dtype=dtype),
        "stride16": torch.randn(batch, 10, 9, 9, dtype=dtype),
    }
