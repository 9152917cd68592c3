"""The tracker's plain path, the reference of the fast one: layer by layer in PyTorch, gradients by autograd."""

import torch

from ltr.models.bbreg import AtomIoUNet, load_atom_net
from ltr.ops import reference
from pytracking.tracker.atom.atom import Atom
from pytracking.tracker.network_files import network_file


class PlainBoxNet(AtomIoUNet):
    """AtomIoUNet behind the interface of `FrozenBoxNet`, pooling by the torch form of PrRoIPool."""

    def relative_energy(self, features):
        return lambda y: self.energy(features, y)

    def pixel_energy(self, features):
        return lambda boxes: self.score(features, boxes)

    def _pool(self, features, level, boxes, size):
        first, stride = (self.first_cell[0], 8) if level == "stride8" else (self.first_cell[1], 16)
        corners = torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], dim=-1) - first
        return reference.prroi_pool(features, corners.flatten(0, 1), size, size, 1 / stride)


def plain_atom(settings, seed: int = 0) -> Atom:
    """An Atom on the CPU whose networks are as they were trained: batch norms, no fused layer, no kernel."""
    tracker = Atom(settings, "cpu", seed)
    net = load_atom_net(network_file(settings.network), settings.backbone_weights, settings.backbone)
    head = net.bb_regressor.requires_grad_(False)
    head.__class__ = PlainBoxNet
    backbone = net.feature_extractor
    classification = backbone.classification_layer(settings.backbone_weights)
    tracker.network = tracker.network._replace(backbone=backbone, classification=classification, head=head)
    return tracker
