"""A frozen backbone as it is run: images as bytes in, features out, with nothing that only training it would need."""

import copy
import itertools

import torch
from torch import Tensor

from ltr.models.backbone.base import Backbone
from ltr.models.backbone.fold import fold_batch_norms

_CPU_IMAGES = 4
"""Images of one pass on a CPU. The layers of a whole batch of 288 x 288 pixels leave the caches, and are returned to
the system and zeroed again one after the other: twice the time."""


class FrozenBackbone:
    """Features of a backbone that is not trained, by a copy of it with folded batch norms in channels-last order.

    The backbone itself stays as it is, with the parameters that checkpoints hold; the copy is no module and in no state
    dict. It is made when it is first needed, and anew when the backbone's weights were loaded, changed or moved.

    Args:
        backbone: whatever its mode, its batch norms are used with the statistics that it holds.
    """

    def __init__(self, backbone: Backbone):
        self.backbone = backbone
        self._folded: Backbone | None = None
        self._made_of: list[tuple[int, int]] = []

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Features of RGB `images`, uint8 (B, 3, H, W), on the backbone's device: as the backbone's own, without graph.

        Equal to `backbone(images / 255)` within rounding.
        """
        folded = self._current()
        parts = images.split(_CPU_IMAGES) if images.device.type == "cpu" else [images]
        # Not inference_mode: what the features are multiplied with keeps them for its gradient.
        with torch.no_grad():
            features = [folded(part.to(torch.float32, memory_format=torch.channels_last).div_(255)) for part in parts]
            return {level: torch.cat([f[level] for f in features]) for level in features[0]}

    def _current(self) -> Backbone:
        tensors = itertools.chain(self.backbone.parameters(), self.backbone.buffers())
        made_of = [(t.data_ptr(), t._version) for t in tensors]
        if self._folded is None or made_of != self._made_of:
            copied = copy.deepcopy(self.backbone).requires_grad_(False).eval()
            self._folded = fold_batch_norms(copied).to(memory_format=torch.channels_last)
            self._made_of = made_of
        return self._folded
