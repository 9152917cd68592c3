"""Small box networks with random weights, and features for them."""

import torch
from torch import nn

from ltr.models.bbreg import AtomIoUNet


def with_lively_norms(module: nn.Module) -> nn.Module:
    """Batch norms off their initial state, so that folding them wrongly shows; in evaluation mode."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.2)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.normal_(norm.bias, std=0.2)
    return module.eval()


def small_net(seed: int = 0) -> AtomIoUNet:
    """A narrow network in evaluation mode."""
    torch.manual_seed(seed)
    return with_lively_norms(AtomIoUNet((6, 10), (8, 12), (16, 14), (4.0, 10.0)))


def levels(batch: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    return {
        "stride8": torch.randn(batch, 6, 18, 18, dtype=dtype),
        "stride16": torch.randn(batch, 10, 9, 9, dtype=dtype),
    }
