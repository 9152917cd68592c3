"""ATOM on the shipped small backbone: five steps of length one in pixels, scaled by the box (Appendix D.2)."""

from pytracking.tracker.atom.settings import AtomSettings, TrackerRefinementSettings
from pytracking.tracker.atom.shipped import on_shipped_backbone


def parameters() -> AtomSettings:
    return on_shipped_backbone(
        "atom_efficientnet_lite0.safetensors",
        predicts="iou",
        refinement=TrackerRefinementSettings(space="pixel", iterations=5, step=(1.0, 1.0)),
    )
