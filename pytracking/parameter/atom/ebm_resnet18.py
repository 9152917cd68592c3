"""The EBM tracker on ResNet-18, the paper's backbone, refined as in Appendix D.2; train the network yourself."""

from pytracking.tracker.atom.settings import AtomSettings, TrackerRefinementSettings


def parameters() -> AtomSettings:
    return AtomSettings(
        network="ebm_resnet18",
        backbone="resnet18",
        refinement=TrackerRefinementSettings(space="relative", iterations=10, step=(2e-4, 1e-3)),
    )
