"""ATOM (Danelljan et al., CVPR 2019), the baseline of Section 4.2: perturbed boxes, squared error to their IoU.

On the small default backbone, with data and a budget for one machine without a GPU."""

from ltr.train_settings.bbreg import atom_resnet18
from ltr.train_settings.bbreg.common import BBRegSettings, on_small_backbone


def settings() -> BBRegSettings:
    return on_small_backbone(atom_resnet18.settings())
