"""ATOM* on ResNet-18, the paper's backbone, refined as in Appendix D.2; train the network yourself."""

from pytracking.tracker.atom.settings import AtomSettings, TrackerRefinementSettings


def parameters() -> AtomSettings:
    return AtomSettings(
        network="atom_star_resnet18",
        backbone="resnet18",
        predicts="iou",
        refinement=TrackerRefinementSettings(space="relative", iterations=10, step=(1e-2, 5e-2)),
    )
