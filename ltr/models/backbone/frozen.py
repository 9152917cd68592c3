"""A frozen backbone as it is run: images as bytes in, features out, with nothing that only training it would need."""

import contextlib
import copy
import itertools

import torch
from torch import Tensor

from ltr.models.backbone.base import Backbone
from ltr.models.inference import optimize_for_inference
from ltr.ops import dense


class FrozenBackbone:
    """Features of a backbone that is not trained, by a copy of it that is optimised for inference.

    The backbone itself stays as it is, with the parameters that checkpoints hold; the copy is no module and in no state
    dict. It is made when it is first needed, and anew when the backbone's weights were loaded, changed or moved.

    Args:
        backbone: whatever its mode, its batch norms are used with the statistics that it holds.
    """

    def __init__(self, backbone: Backbone):
        self.backbone = backbone
        self._fast: Backbone | None = None
        self._made_of: list[tuple[int, int]] = []

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Features of RGB `images`, uint8 (B, 3, H, W), on the backbone's device: as the backbone's own, without graph.

        Equal to `backbone(images / 255)` within rounding.
        """
        fast = self._current()
        cpu = images.device.type == "cpu"
        # On a CPU one after the other: what passes between the layers of a whole batch leaves the caches.
        parts = images.split(1) if cpu else [images]
        # The fused layers are for float32, and as fast as others in bfloat16.
        full = torch.autocast("cpu", enabled=False) if cpu and dense.available() else contextlib.nullcontext()
        # Not inference_mode: what the features are multiplied with keeps them for its gradient.
        with torch.no_grad(), full:
            features = [fast(part.to(torch.float32, memory_format=torch.channels_last).div_(255)) for part in parts]
            return {level: torch.cat([f[level] for f in features]) for level in features[0]}

    def _current(self) -> Backbone:
        tensors = itertools.chain(self.backbone.parameters(), self.backbone.buffers())
        made_of = [(t.data_ptr(), t._version) for t in tensors]
        if self._fast is None or made_of != self._made_of:
            self._fast = optimize_for_inference(copy.deepcopy(self.backbone).eval())
            self._made_of = made_of
        return self._fast
