"""ATOM* on the shipped small backbone: the EBM's refinement with its own step-lengths (Appendix D.2)."""

from pytracking.tracker.atom.settings import AtomSettings, TrackerRefinementSettings
from pytracking.tracker.atom.shipped import on_shipped_backbone


def parameters() -> AtomSettings:
    return on_shipped_backbone(
        "atom_star_efficientnet_lite0.safetensors",
        predicts="iou",
        # Chosen on validation data for the shipped head, as the paper chose (1e-2, 5e-2) for its own.
        refinement=TrackerRefinementSettings(space="relative", iterations=10, step=(5e-3, 1e-2)),
    )
