"""Batch norms folded into the convolutions before them: for inference, the same function in fewer memory passes."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """Folds every batch norm that directly follows a convolution into it, in place; returns `module`.

    The network must list a convolution and its batch norm one after the other, as torchvision's and timm's blocks do.
    timm's batch norms include the activation; it replaces them.
    """
    names = list(module._modules)
    for first, second in zip(names, names[1:], strict=False):
        conv, norm = module._modules[first], module._modules[second]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module._modules[first] = fuse_conv_bn_eval(conv.eval(), norm.eval())
            module._modules[second] = getattr(norm, "act", nn.Identity())
    for child in module.children():
        fold_batch_norms(child)
    return module
