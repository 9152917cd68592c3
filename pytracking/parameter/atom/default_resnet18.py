"""ATOM on ResNet-18, the paper's backbone; the network is one's own training or PyTracking's checkpoint, by name."""

from dataclasses import replace

from pytracking.parameter.atom import default
from pytracking.tracker.atom.settings import AtomSettings


def parameters() -> AtomSettings:
    return replace(default.parameters(), network="atom_resnet18", backbone="resnet18")
