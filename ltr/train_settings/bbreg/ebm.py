"""The paper's energy-based tracker (Section 4.2, Appendix D.1): mixture proposals, negative log-likelihood.

`--loss nce_plus` trains it by NCE+ instead, with the same proposals; `ltr.actors.density_loss` has all losses.

On the small default backbone, with data and a budget for one machine without a GPU."""

from ltr.train_settings.bbreg import ebm_resnet18
from ltr.train_settings.bbreg.common import BBRegSettings, on_small_backbone


def settings() -> BBRegSettings:
    return on_small_backbone(ebm_resnet18.settings())
