"""ATOM (Danelljan et al., CVPR 2019), the baseline of Section 4.2: perturbed boxes, squared error to their IoU.

On ResNet-18 with the paper's data and schedule."""

from ltr.actors.bbreg import ProposalSettings, RefinementSettings
from ltr.train_settings.bbreg.common import BBRegSettings


def settings() -> BBRegSettings:
    settings = BBRegSettings()
    settings.proposals = ProposalSettings(kind="perturbation", number=16)
    settings.loss = "iou"
    settings.refinement = RefinementSettings(step=(1e-2, 5e-2))
    return settings
