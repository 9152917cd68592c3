"""Age of the faces of UTKFace, in years (Appendix E)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ltr.actors.regression import EnergyLossSettings
from ltr.common.environment import get_path
from ltr.data.regression_samples import AugmentSettings
from ltr.dataset import LabelledImages, read_utkface_split
from ltr.train_settings import regression
from ltr.train_settings.regression import BinSettings, Part, RegressionSettings, System
from ltr.trainers.task import Task


@dataclass
class AgeDataSettings:
    """CORAL's split of UTKFace: 13,147 images for training and validation, 3,287 for the test."""

    val_seed: int = 0
    """Draws the 1,644 validation images. The paper has as many, but does not say which."""


@dataclass
class AgeSettings(RegressionSettings):
    """A network that estimates ages."""

    augment: AugmentSettings = field(default_factory=lambda: AugmentSettings(size=200))
    """Images of 200 x 200 (E.2)."""
    loss: EnergyLossSettings = field(default_factory=lambda: EnergyLossSettings(num_samples=1024, sigmas=(0.1, 20.0)))
    """M = 1024 and the widths in years (E.2, Table S3)."""
    bins: BinSettings = field(default_factory=lambda: BinSettings(0, 100, 101))
    """E.4"""
    data: AgeDataSettings = field(default_factory=AgeDataSettings)


def settings_for(system: System) -> AgeSettings:
    """The paper's settings of a system."""
    return AgeSettings(system=system)


def images(settings: AgeSettings, part: Part) -> LabelledImages:
    """A part of the data.

    Raises:
        UserError: if the images are missing or damaged.
    """
    return read_utkface_split(get_path("utkface"), part, settings.data.val_seed)


def build(settings: AgeSettings) -> Task:
    """The training task of the settings; raises as :func:`ltr.train_settings.regression.build`."""
    return regression.build(settings, lambda part: images(settings, part))


SYSTEMS = regression.recipes(settings_for, build, images, "E", "S4")
