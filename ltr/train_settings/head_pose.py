"""Angles of a head, in degrees: yaw, pitch and roll on BIWI (Appendix F), yaw and pitch on Pointing'04."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, field
from typing import Literal

from ltr.actors.regression import EnergyLossSettings
from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.data.regression_samples import AugmentSettings
from ltr.dataset import DatasetError, LabelledImages, read_biwi, read_fsanet, read_pointing04, read_pointing04_crops
from ltr.train_settings import regression
from ltr.train_settings.regression import BinSettings, Part, RegressionSettings, System
from ltr.trainers.task import Task

_VAL_SHARE = 8
logger = logging.getLogger(__name__)


@dataclass
class HeadPoseDataSettings:
    """The data set, and which of its people validation and test show."""

    set: Literal["biwi_fsanet", "biwi", "pointing04"] = "biwi_fsanet"
    """biwi_fsanet: BIWI as FSA-Net's BIWI_train.npz and BIWI_test.npz, the paper's protocol. biwi: BIWI's own folders.
    pointing04: Pointing'04, which has no roll."""
    val_seed: int = 0
    """biwi_fsanet: draws two of the 16 videos of BIWI_train.npz for validation, or an eighth of other rows, in one
    piece."""
    test_people: tuple[str, ...] = ()
    """biwi, pointing04: the people of the test. Default: 17 to 24 of BIWI's 24, 13 to 15 of Pointing'04's 15."""
    val_people: tuple[str, ...] = ()
    """The people (videos of BIWI) of validation. Default: 15 and 16 of biwi, 11 and 12 of Pointing'04."""


@dataclass
class HeadPoseSettings(RegressionSettings):
    """A network that estimates head poses."""

    augment: AugmentSettings = field(default_factory=lambda: AugmentSettings(size=64))
    """Images of 64 x 64 (F.2)."""
    loss: EnergyLossSettings = field(default_factory=lambda: EnergyLossSettings(num_samples=1024, sigmas=(1.0, 20.0)))
    """M = 1024 and the widths in degrees, the same for all angles (F.2, Table S5)."""
    bins: BinSettings = field(default_factory=lambda: BinSettings(-75, 75, 151))
    """F.4. Pointing'04 needs -90 to 90."""
    data: HeadPoseDataSettings = field(default_factory=HeadPoseDataSettings)


def settings_for(system: System) -> HeadPoseSettings:
    """The paper's settings of a system."""
    return HeadPoseSettings(system=system)


def images(settings: HeadPoseSettings, part: Part) -> LabelledImages:
    """A part of the data.

    Raises:
        UserError: if the images are missing or damaged, or a person is unknown.
    """
    d = settings.data
    if d.set == "biwi_fsanet":
        whole = read_fsanet(get_path("fsanet") / f"BIWI_{'test' if part == 'test' else 'train'}.npz")
        return whole if part == "test" else _without_val(whole, d)[part == "val"]
    if d.set == "biwi":
        whole, usual = read_biwi(get_path("biwi")), (range(17, 25), range(15, 17))
    else:
        root, usual = get_path("pointing04"), (range(13, 16), range(11, 13))
        whole = read_pointing04_crops(root) if (root / "crops.csv").is_file() else read_pointing04(root)
    test, val = (
        chosen or tuple(f"{k:02}" for k in numbers)
        for chosen, numbers in zip((d.test_people, d.val_people), usual, strict=True)
    )
    rest, tested = _leave_out(whole, test)
    return tested if part == "test" else _leave_out(rest, val)[part == "val"]


def _without_val(whole: LabelledImages, d: HeadPoseDataSettings) -> tuple[LabelledImages, LabelledImages]:
    """FSA-Net's training faces without and of validation: whole videos, for neighbouring frames are nearly alike."""
    if whole.groups is None and not d.val_people:
        logger.warning("%s does not show whole videos of BIWI: validation has an eighth of its rows", whole.name)
        return whole.split_run(len(whole) // _VAL_SHARE, d.val_seed)
    videos = sorted(set(whole.groups or ()))
    drawn = sorted(random.Random(d.val_seed).sample(videos, max(1, len(videos) // _VAL_SHARE))) if videos else []
    return _leave_out(whole, d.val_people or tuple(drawn))


def _leave_out(whole: LabelledImages, people: tuple[str, ...]) -> tuple[LabelledImages, LabelledImages]:
    try:
        return whole.leave_out(people)
    except DatasetError as error:
        raise UserError(f"{error}; choose people by --data.test_people and --data.val_people") from error


def build(settings: HeadPoseSettings) -> Task:
    """The training task of the settings; raises as :func:`ltr.train_settings.regression.build`."""
    return regression.build(settings, lambda part: images(settings, part))


SYSTEMS = regression.recipes(settings_for, build, images, "F", "S6")
