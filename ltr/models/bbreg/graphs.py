"""The network of a tracker as four functions of tensors, in plain operators, which can be exported.

    backbone    images (B, H, W, 3) uint8                     -> stride8, stride16; classification, if there is one
    modulation  stride8, stride16, box (B, 4)                 -> modulation8, modulation16 (B, C)
    encode      stride8, stride16, modulation8, modulation16  -> map8, map16 (B, C, h, w)
    energy      map8, map16, size (B, 2), y (B, M, 4)         -> f (B, M), gradient (B, M, 4) of f in y

`box` is x, y, w, h in pixels of the image. `y` are boxes in the relative parametrisation with the unit `size`, w and h
in pixels. All but the images is float32. The sides H and W are fixed; B and M are not.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import Dim

from ebm_common.boxes import rect_to_rel
from ltr.models.backbone.fold import fold_batch_norms
from ltr.models.bbreg.atom import AtomNet
from ltr.models.bbreg.atom_iou_net import AtomIoUNet
from ltr.models.bbreg.energy_graph import EnergyGraph

IMAGE = 288
"""H and W of the images with which the networks are trained, in pixels."""

_BATCH, _BOXES = Dim("batch"), Dim("boxes")


@dataclass(frozen=True)
class Graph:
    """A function to export.

    Attributes:
        module: the function, in evaluation mode.
        inputs: an example of each input, by name.
        outputs: the names of the outputs.
        dynamic: of each input, the dimensions that may change.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]
    dynamic: dict[str, dict[int, Dim]]


def make_graphs(net: AtomNet, classification: nn.Module | None) -> dict[str, Graph]:
    """The four functions by name.

    Args:
        net: on the CPU, in evaluation mode; it is copied.
        classification: the backbone's classification layer, or None.
    """
    head = copy.deepcopy(net.bb_regressor).requires_grad_(False)
    fold_batch_norms(head)
    backbone, modulate, encode, energy = (
        _Backbone(net, classification),
        _Modulation(head),
        _Encode(head),
        EnergyGraph(head),
    )
    images = torch.randint(0, 256, (2, IMAGE, IMAGE, 3), dtype=torch.uint8)
    levels = dict(zip(("stride8", "stride16"), backbone(images)[:2], strict=True))
    box = IMAGE * torch.tensor([[0.2, 0.3, 0.4, 0.3], [0.3, 0.4, 0.3, 0.4]])
    modulation = dict(zip(("modulation8", "modulation16"), modulate(**levels, box=box), strict=True))
    encoded = dict(zip(("map8", "map16"), encode(**levels, **modulation), strict=True))
    y = rect_to_rel(box[:, None].expand(2, 3, 4), box[:, None, 2:])
    features = [*levels, *(["classification"] if classification is not None else [])]
    return {
        "backbone": _graph(backbone, {"images": images}, features),
        "modulation": _graph(modulate, {**levels, "box": box}, [*modulation]),
        "encode": _graph(encode, {**levels, **modulation}, [*encoded]),
        "energy": _graph(energy, {**encoded, "size": box[:, 2:].clone(), "y": y}, ["f", "gradient"]),
    }


def _graph(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str]) -> Graph:
    dynamic = {name: {0: _BATCH, 1: _BOXES} if name == "y" else {0: _BATCH} for name in inputs}
    return Graph(module.eval(), inputs, outputs, dynamic)


class _Backbone(nn.Module):
    scale: Tensor
    shift: Tensor

    def __init__(self, net: AtomNet, classification: nn.Module | None):
        super().__init__()
        extractor = copy.deepcopy(net.feature_extractor)
        self.register_buffer("scale", 1 / (255 * extractor.std.flatten()))
        self.register_buffer("shift", -(extractor.mean / extractor.std).flatten())
        fold_batch_norms(extractor)
        self.extractor = extractor
        self.classification = None if classification is None else fold_batch_norms(copy.deepcopy(classification))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        normalised = images.to(torch.float32) * self.scale + self.shift
        features = self.extractor.extract(normalised.permute(0, 3, 1, 2))
        levels = features["stride8"], features["stride16"]
        return levels if self.classification is None else (*levels, self.classification(levels[1]))


class _Modulation(nn.Module):
    def __init__(self, head: AtomIoUNet):
        super().__init__()
        self.head = copy.deepcopy(head)
        for unused in ("conv3_1t", "conv3_2t", "conv4_1t", "conv4_2t", "fc3_rt", "fc4_rt", "iou_predictor"):
            delattr(self.head, unused)

    def forward(self, stride8: Tensor, stride16: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
        modulation = self.head.modulation({"stride8": stride8, "stride16": stride16}, box)
        return modulation.stride8, modulation.stride16


class _Encode(nn.Module):
    def __init__(self, head: AtomIoUNet):
        super().__init__()
        self.branch8 = nn.Sequential(head.conv3_1t, head.conv3_2t)
        self.branch16 = nn.Sequential(head.conv4_1t, head.conv4_2t)

    def forward(
        self, stride8: Tensor, stride16: Tensor, modulation8: Tensor, modulation16: Tensor
    ) -> tuple[Tensor, Tensor]:
        map8, map16 = self.branch8(stride8), self.branch16(stride16)
        return map8 * modulation8[..., None, None], map16 * modulation16[..., None, None]
