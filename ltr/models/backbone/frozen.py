"""Frozen backbones for inference: from images as bytes to features, by a copy without what only training needs."""

import contextlib
import copy
import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ltr.models.backbone.base import Backbone
from ltr.models.inference import optimize_for_inference
from ltr.ops import dense


class OptimizedCopy:
    """A copy of a module that is optimised for inference, made on first use and again when the module's weights change.

    The module itself stays as it is, with the parameters that checkpoints hold; the copy is not registered as a
    submodule and is in no state dict. It is always in evaluation mode.
    """

    def __init__(self, module: nn.Module):
        self.module = module
        self._fast: nn.Module | None = None
        self._made_of: list[tuple[int, int]] = []

    def __call__(self) -> nn.Module:
        tensors = itertools.chain(self.module.parameters(), self.module.buffers())
        made_of = [(t.data_ptr(), t._version) for t in tensors]
        if self._fast is None or made_of != self._made_of:
            self._fast = optimize_for_inference(copy.deepcopy(self.module).eval())
            self._made_of = made_of
        return self._fast


@contextlib.contextmanager
def exact_on_cpu(device: torch.device) -> Iterator[None]:
    """Disables autocast on a CPU with fused layers: these need float32, and are as fast as other layers in bfloat16."""
    off = device.type == "cpu" and dense.available()
    with torch.autocast("cpu", enabled=False) if off else contextlib.nullcontext():
        yield


class FrozenBackbone:
    """Features of a frozen backbone, by a copy that is optimised for inference.

    Args:
        backbone: its batch norms use their running statistics, in training mode too.
    """

    def __init__(self, backbone: Backbone):
        self._copy = OptimizedCopy(backbone)

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Features of RGB `images`, uint8 (B, 3, H, W), on the backbone's device, without an autograd graph.

        They equal `backbone(images / 255)` up to rounding.
        """
        fast = self._copy()
        # on a CPU one image after the other: the intermediate results of a whole batch do not fit into the caches
        parts = images.split(1) if images.device.type == "cpu" else [images]
        # not inference_mode: autograd must be able to save the features for the gradient of what they multiply
        with torch.no_grad(), exact_on_cpu(images.device):
            features = [fast(part.to(torch.float32, memory_format=torch.channels_last).div_(255)) for part in parts]
            return {level: torch.cat([f[level] for f in features]) for level in features[0]}
