"""The paper's energy-based tracker (Section 4.2, Appendix D.1): mixture proposals, negative log-likelihood.

`--loss nce_plus` trains it by NCE+ instead, with the same proposals; `ltr.actors.density_loss` has all losses.

On ResNet-18 with the paper's data and schedule."""

from ltr.actors.bbreg import BBRegProposalSettings, BBRegRefinementSettings
from ltr.train_settings.bbreg.common import BBRegSettings


def settings() -> BBRegSettings:
    settings = BBRegSettings()
    settings.proposals = BBRegProposalSettings(kind="mixture", num_samples=128)
    settings.loss = "nll"
    settings.refinement = BBRegRefinementSettings(step=(2e-4, 1e-3))
    return settings
