"""Frozen networks optimised for inference: the same function, up to rounding, in fewer passes over memory."""

import math
from typing import Any

import torch
from timm.layers import Conv2dSame
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from ltr.models.backbone.base import Backbone
from ltr.models.backbone.fold import fold_batch_norms
from ltr.ops import dense


def optimize_for_inference(module: nn.Module) -> nn.Module:
    """Optimises a module for inference, in place.

    It folds batch norms. On a CPU in float32, if the compiled kernels are present, it also replaces layers by faster
    ones.

    Returns:
        The module that replaces `module`. It can no longer be trained, nor moved to another device or dtype.
    """
    fold_batch_norms(module).to(memory_format=torch.channels_last)
    if dense.serves(next(module.parameters())):
        module = _fuse(module)
    return module.eval().requires_grad_(False)


def _fuse(module: nn.Module) -> nn.Module:
    if isinstance(module, InvertedResidual | DepthwiseSeparableConv) and _fits(module):
        block: Any = module
        expands = isinstance(module, InvertedResidual)
        return dense.InvertedResidual(
            block.conv_pw if expands else None,
            block.conv_dw,
            block.conv_pwl if expands else block.conv_pw,
            same=isinstance(block.conv_dw, Conv2dSame),
            residual=block.has_skip,
        )
    if isinstance(module, BasicBlock):
        return _BasicBlock(module)
    if isinstance(module, nn.Sequential | Backbone):  # which apply their layers one after the other
        _fuse_activations(module)
    for name, child in module.named_children():
        module._modules[name] = _fuse(child)
    return module


def _fuse_activations(module: nn.Module) -> None:
    """Replaces convolutions among the children of `module` that a ReLU or ReLU6 follows, each with its activation."""
    children = [*module.named_children()]
    for number, (name, conv) in enumerate(children):
        after = children[number + 1 : number + 3]
        if after and isinstance(after[0][1], nn.Identity):  # a batch norm that was folded
            after = after[1:]
        if (
            isinstance(conv, nn.Conv2d)
            and dense.Convolution.fits(conv)
            and after
            and isinstance(after[0][1], nn.ReLU | nn.ReLU6)
        ):
            act, activation = after[0]
            module._modules[name] = _convolution(conv, 0.0, 6.0 if isinstance(activation, nn.ReLU6) else math.inf)
            module._modules[act] = nn.Identity()


def _convolution(conv: nn.Conv2d, low: float = -math.inf, high: float = math.inf) -> nn.Module:
    if dense.WinogradConv2d.fits(conv) and high == math.inf:
        return dense.WinogradConv2d(conv, relu=low == 0)
    return dense.Convolution(conv, isinstance(conv, Conv2dSame), low, high)


def _fits(block: InvertedResidual | DepthwiseSeparableConv) -> bool:
    """Whether a folded block is an EfficientNet-Lite block: ReLU6, no squeeze-and-excitation, no other layers."""
    activations = [block.bn1, block.bn2] if isinstance(block, InvertedResidual) else [block.bn1]
    between = [block.se] + [block.aa] if hasattr(block, "aa") else [block.se]
    return (
        all(isinstance(a, nn.ReLU6) for a in activations)
        and all(isinstance(m, nn.Identity) for m in between)
        and block.conv_dw.kernel_size in ((3, 3), (5, 5))
        and block.conv_dw.stride in ((1, 1), (2, 2))
        and block.conv_dw.dilation == (1, 1)
    )


class _BasicBlock(nn.Module):
    """torchvision's block of ResNet-18, folded: the second convolution adds the identity and applies the ReLU."""

    def __init__(self, block: BasicBlock):
        super().__init__()
        self.first = _convolution(block.conv1, low=0.0)
        self.second = dense.WinogradConv2d(block.conv2, relu=True)
        self.downsample = nn.Identity() if block.downsample is None else _convolution(block.downsample[0])

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x), self.downsample(x))
