"""ATOM on ResNet-18, the paper's backbone; the network is one's own training or PyTracking's checkpoint, by name."""

from pytracking.tracker.atom.settings import AtomSettings, TrackerRefinementSettings


def parameters() -> AtomSettings:
    return AtomSettings(
        network="atom_resnet18",
        backbone="resnet18",
        predicts="iou",
        refinement=TrackerRefinementSettings(space="pixel", iterations=5, step=(1.0, 1.0)),
    )
