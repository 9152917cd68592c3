"""The EBM tracker on ResNet-18, the paper's backbone; the network is one's own training or PyTracking's checkpoint, by name."""

from dataclasses import replace

from pytracking.parameter.atom import ebm
from pytracking.tracker.atom.settings import AtomSettings


def parameters() -> AtomSettings:
    return replace(ebm.parameters(), network="ebm_resnet18", backbone="resnet18")
