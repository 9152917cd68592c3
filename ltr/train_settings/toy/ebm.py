"""The energy-based model of Appendix B: M = 1024 samples of widths 0.1 and 0.8, the likelihood (Eq. 4)."""

from dataclasses import dataclass, field
from typing import Literal

from ltr.actors.regression import EnergyActor, EnergyLossSettings
from ltr.common.errors import UserError
from ltr.models.regression.toy import ToyEnergyNet, ToySmoothEnergyNet
from ltr.train_settings.toy.common import ToySettings, toy_task
from ltr.trainers.task import Task


@dataclass
class ToyEnergySettings(ToySettings):
    """An energy-based model of a density in one dimension."""

    net: Literal["paper", "smooth"] = "paper"
    """paper: Appendix B's. smooth: that of Gustafsson et al. (BMVC 2020), smooth in y, for the losses dsm and sm."""
    loss: EnergyLossSettings = field(default_factory=EnergyLossSettings)


def settings() -> ToyEnergySettings:
    return ToyEnergySettings()


def build(settings: ToyEnergySettings) -> Task:
    """The training task of the settings.

    Raises:
        UserError: if the loss does not fit the network, or its constants are out of range.
    """
    net = ToyEnergyNet() if settings.net == "paper" else ToySmoothEnergyNet()
    if settings.net == "paper" and settings.loss.kind == "sm":
        raise UserError("score matching needs curvature in y, of which ReLU has none: choose --net smooth.")
    try:
        actor = EnergyActor(net, settings.loss)
    except ValueError as error:
        raise UserError(f"these settings do not fit each other: {error}") from error
    return toy_task(settings, actor, best="nll")
