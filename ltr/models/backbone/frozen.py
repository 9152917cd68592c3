"""A frozen backbone as it is run: images as bytes in, features out, with nothing that only training it would need."""

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
    """A copy of a module that is optimised for inference, made when it is first needed and anew when the module's
    weights were loaded, changed or moved.

    The module itself stays as it is, with the parameters that checkpoints hold; the copy is no module and in no state
    dict. Whatever the module's mode, the copy is in evaluation mode.
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
    """No autocast where a CPU has its fused layers: they are for float32, and as fast as others in bfloat16."""
    off = device.type == "cpu" and dense.available()
    with torch.autocast("cpu", enabled=False) if off else contextlib.nullcontext():
        yield


class FrozenBackbone:
    """Features of a backbone that is not trained, by a copy of it that is optimised for inference.

    Args:
        backbone: whatever its mode, its batch norms are used with the statistics that it holds.
    """

    def __init__(self, backbone: Backbone):
        self._copy = OptimizedCopy(backbone)

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Features of RGB `images`, uint8 (B, 3, H, W), on the backbone's device: as the backbone's own, without graph.

        Equal to `backbone(images / 255)` within rounding.
        """
        fast = self._copy()
        # On a CPU one after the other: what passes between the layers of a whole batch leaves the caches.
        parts = images.split(1) if images.device.type == "cpu" else [images]
        # Not inference_mode: what the features are multiplied with keeps them for its gradient.
        with torch.no_grad(), exact_on_cpu(images.device):
            features = [fast(part.to(torch.float32, memory_format=torch.channels_last).div_(255)) for part in parts]
            return {level: torch.cat([f[level] for f in features]) for level in features[0]}
