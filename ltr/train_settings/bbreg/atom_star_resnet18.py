"""ATOM* of Section 4.2: the EBM's proposals and settings with ATOM's loss (Appendix D.1).

On ResNet-18 with the paper's data and schedule."""

from ltr.actors.bbreg import BBRegProposalSettings, BBRegRefinementSettings
from ltr.train_settings.bbreg.common import BBRegSettings


def settings() -> BBRegSettings:
    settings = BBRegSettings()
    settings.proposals = BBRegProposalSettings(kind="mixture", num_samples=128)
    settings.loss = "iou"
    settings.refinement = BBRegRefinementSettings(step=(1e-2, 5e-2))
    return settings
