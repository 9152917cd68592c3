"""ATOM on ResNet-18, the paper's backbone; train the network yourself, or name PyTracking's checkpoint."""

from pytracking.tracker.atom.settings import AtomSettings, TrackerRefinementSettings


def parameters() -> AtomSettings:
    return AtomSettings(
        network="atom_resnet18",
        backbone="resnet18",
        predicts="iou",
        refinement=TrackerRefinementSettings(space="pixel", iterations=5, step=(1.0, 1.0)),
    )
