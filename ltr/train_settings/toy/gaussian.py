"""The Gaussian model of Appendix B: mean and variance by a network, the likelihood (S2)."""

from ltr.actors.regression import BaselineActor
from ltr.models.regression.toy import ToyGaussianNet
from ltr.train_settings.toy.common import ToySettings, toy_task
from ltr.trainers.task import Task


def settings() -> ToySettings:
    return ToySettings()


def build(settings: ToySettings) -> Task:
    """The training task of the settings."""
    return toy_task(settings, BaselineActor(ToyGaussianNet(), "gaussian"), best="loss")
