"""The common settings of the toy: Appendix B's data and schedule."""

from dataclasses import dataclass, field
from typing import Literal

from ltr.actors.base import Actor
from ltr.common.errors import UserError
from ltr.common.settings import OptimizerSettings, ScheduleSettings, TrainSettings, run_field
from ltr.dataset.toy import TOY_DENSITIES, ToySamples
from ltr.trainers.task import Task

_DATA_SEED, _VALIDATION_SEED = 0, 1
_VALIDATION_SAMPLES = 512


@dataclass
class ToySettings(TrainSettings):
    """A model of a density in one dimension."""

    data: Literal["1", "1_shifted", "2"] = "1"
    """The density, one of ltr/dataset/toy.py; 1 is that of Figure 2."""
    epochs: int = 75
    """Appendix B."""
    samples_per_epoch: int = 2000
    """Number of training pairs: an epoch shows each once (Appendix B), without an incomplete last batch. They do not
    depend on the seed, so that results of several seeds show the spread of training alone."""
    batch_size: int = 32
    """Appendix B."""
    optimizer: OptimizerSettings = field(default_factory=lambda: OptimizerSettings(lr=1e-2))
    """Adam (Appendix B, which names no rate). The code of Gustafsson et al. (BMVC 2020) has a constant 1e-3, with which
    the energy-based model has not converged after 75 epochs."""
    schedule: ScheduleSettings = field(default_factory=lambda: ScheduleSettings(kind="one_cycle"))
    workers: int = run_field(0)
    """None, since reading a pair costs nothing."""
    val_every: int = run_field(15)
    """Epochs between two validations, on 512 other pairs."""


def toy_task(settings: ToySettings, actor: Actor, best: str) -> Task:
    """The task of an actor on the settings' data; `best` names the validation statistic that decides what is best.

    Raises:
        UserError: if there are no samples.
    """
    if settings.samples_per_epoch < 1:
        raise UserError(f"--samples_per_epoch is {settings.samples_per_epoch}; it must be at least 1.")
    density = TOY_DENSITIES[settings.data]
    train = ToySamples(density, settings.samples_per_epoch, _DATA_SEED, order_seed=settings.seed)
    val = ToySamples(density, _VALIDATION_SAMPLES, _VALIDATION_SEED)
    return Task(actor, train, val, best=best)
