"""ATOM* of Section 4.2: the EBM's proposals and settings with ATOM's loss (Appendix D.1).

On the small default backbone, with data and a budget for one machine without a GPU."""

from ltr.train_settings.bbreg import atom_star_resnet18
from ltr.train_settings.bbreg.common import BBRegSettings, on_small_backbone


def settings() -> BBRegSettings:
    return on_small_backbone(atom_star_resnet18.settings())
