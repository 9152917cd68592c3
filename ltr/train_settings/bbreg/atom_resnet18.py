"""ATOM (Danelljan et al., CVPR 2019), the baseline of Section 4.2: perturbed boxes, squared error to their IoU.

On ResNet-18 with the paper's data and schedule."""

from ltr.actors.bbreg import BBRegProposalSettings, BBRegRefinementSettings
from ltr.train_settings.bbreg.common import BBRegSettings


def settings() -> BBRegSettings:
    settings = BBRegSettings()
    settings.proposals = BBRegProposalSettings(kind="perturbation", num_samples=16)
    settings.loss = "iou"
    settings.refinement = BBRegRefinementSettings(step=(1e-2, 5e-2))
    return settings
