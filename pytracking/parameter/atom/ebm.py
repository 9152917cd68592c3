"""The paper's EBM tracker on the shipped small backbone: ascent in the relative parametrisation (Appendix D.2)."""

from pytracking.tracker.atom.settings import AtomSettings, RefinementSettings


def parameters() -> AtomSettings:
    return AtomSettings(
        network="ebm_efficientnet_lite0.safetensors",
        refinement=RefinementSettings(space="relative", iterations=10, step=(2e-4, 1e-3)),
    )
