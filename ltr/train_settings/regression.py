"""Age and head pose: their common settings, and the training task that settings describe (Appendices E and F)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from torch.utils.data import Dataset

from ebm_common import SoftmaxBins
from ltr.actors.regression import BaselineActor, EnergyActor, EnergyLossSettings
from ltr.common.device import choose_device
from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.settings import OptimizerSettings, ScheduleSettings, TrainSettings, renamed_field
from ltr.data.encoded_samples import EncodedSamples
from ltr.data.regression_samples import AugmentSettings, RegressionSamples
from ltr.dataset import LabelledImages
from ltr.models.regression.heads import DensityNet, DirectNet, EnergyNet, SoftmaxNet
from ltr.models.regression.image_encoder import EncoderSettings, ImageEncoder
from ltr.train_settings.recipe import Recipe
from ltr.trainers.task import Task

System = Literal["direct_huber", "direct_l2", "gaussian", "laplace", "softmax_ce_l2", "softmax_ce_l2_var", "ebm"]
Part = Literal["train", "val", "test"]
_CACHE_SEED = 0
_OUTSIDE = 0.01  # share of training labels that may lie beyond the bins: 59 of BIWI's 15,677 do, up to 84 degrees
_BASELINES: dict[System, str] = {
    "direct_huber": "Direct - Huber",
    "direct_l2": "Direct - L2",
    "gaussian": "Gaussian",
    "laplace": "Laplace",
    "softmax_ce_l2": "Softmax - CE & L2",
    "softmax_ce_l2_var": "Softmax - CE, L2 & Var",
}
logger = logging.getLogger(__name__)


@dataclass
class BinSettings:
    """The classes of the softmax systems."""

    lower: float
    upper: float
    num_bins: int = renamed_field("number")


@dataclass
class RegressionSettings(TrainSettings):
    """A network from an image to D numbers."""

    system: System = "ebm"
    """Its output and loss: one of six baselines, or the energy-based model (E.1 and E.4, F.1 and F.4)."""
    epochs: int = 75
    """E.2, F.2, and E.4, F.4 for the baselines."""
    samples_per_epoch: int = 0
    """0 stands for all training images, as in the paper."""
    batch_size: int = 32
    """E.2, F.2"""
    optimizer: OptimizerSettings = field(default_factory=lambda: OptimizerSettings(lr=1e-3, weight_decay=1e-3))
    """Adam with weight decay 0.001 (E.2, F.2). The rate is not in the paper; 0.001 is PyTorch's default."""
    schedule: ScheduleSettings = field(default_factory=lambda: ScheduleSettings(kind="step", gamma=1.0))
    """A constant rate: the paper has no schedule for these tasks."""
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    """Flips, scales from 0.7 to 1.4 and random crops (E.2, F.2)."""
    initial_scale: float = 1.0
    """gaussian and laplace: the scale near which their density starts, in the labels' unit. 1 is PyTorch's
    initialisation, the paper's. If labels spread far wider, give their standard deviation: otherwise the first steps
    only widen the density, from which a fine-tuned encoder may never recover."""
    loss: EnergyLossSettings = field(default_factory=EnergyLossSettings)
    """ebm only."""
    bins: BinSettings = field(default_factory=lambda: BinSettings(0, 100, 101))
    """softmax systems only. Labels beyond the bins count as the outermost; if they are many, training is refused."""


def build(settings: RegressionSettings, images: Callable[[Part], LabelledImages]) -> Task:
    """The training task of the settings, on images of the parts 'train' and 'val'.

    If `settings.samples_per_epoch` is 0, it becomes the number of training images.

    Raises:
        UserError: if settings do not fit each other or the labels, or data or weights are missing.
    """
    train, val = images("train"), images("val")
    logger.info("training: %s", train.summary())
    logger.info("validation: %d images", len(val))
    settings.samples_per_epoch = settings.samples_per_epoch or len(train)
    actor = build_actor(settings, train.labels.shape[1])
    encoder = actor.net.encoder
    if settings.system.startswith("softmax"):
        _check_bins(settings.bins, train)
    best = "nll" if settings.system == "ebm" else "mae"  # other losses of an energy do not compare
    return Task(actor, samples(settings, train, "train", encoder), samples(settings, val, "val", encoder), best=best)


def build_actor(settings: RegressionSettings, targets: int, imagenet: bool = True) -> EnergyActor | BaselineActor:
    """The system's network and loss for D = `targets`; see :class:`ImageEncoder` for `imagenet`.

    Raises:
        UserError: if settings do not fit each other, or weights are missing.
    """
    if settings.encoder.frozen_copies < 0:
        raise UserError(f"--encoder.frozen_copies is {settings.encoder.frozen_copies}; it must be at least 0.")
    if not 0 < settings.initial_scale < math.inf:
        raise UserError(f"--initial_scale is {settings.initial_scale}; it must be positive and finite.")
    if settings.system == "ebm" and settings.loss.kind == "sm":
        raise UserError("score matching needs curvature in y, of which ReLU has none: choose another --loss.kind.")
    encoder = ImageEncoder(settings.encoder, imagenet)
    b, log_scale = settings.bins, math.log(settings.initial_scale)
    try:
        bins = SoftmaxBins(b.lower, b.upper, b.num_bins)
        match settings.system:
            case "ebm":
                return EnergyActor(EnergyNet(encoder, targets), settings.loss)
            case "direct_huber" | "direct_l2" as direct:
                return BaselineActor(DirectNet(encoder, targets), direct)
            case "gaussian":
                return BaselineActor(DensityNet(encoder, targets, 2 * log_scale), "gaussian")
            case "laplace":  # S6 in one dimension, S10 in more: for D = 1 the latter would have another loss
                if targets == 1:
                    return BaselineActor(DensityNet(encoder, targets, log_scale), "laplace")
                return BaselineActor(DensityNet(encoder, targets, 2 * log_scale), "multivariate_laplace")
            case "softmax_ce_l2" | "softmax_ce_l2_var" as softmax:
                return BaselineActor(SoftmaxNet(encoder, targets, bins.num_bins), softmax, bins)
    except ValueError as error:
        raise UserError(f"these settings do not fit each other: {error}") from error


def samples(settings: RegressionSettings, images: LabelledImages, part: Part, encoder: ImageEncoder) -> Dataset:
    """Samples {"x", "label"} of images, augmented for 'train'; if the encoder is frozen, x are its cached features.

    Raises:
        UserError: if the augmentation is out of range, or features cannot be computed or written.
    """
    train, copies = part == "train", settings.encoder.frozen_copies
    length = settings.epochs * settings.samples_per_epoch if train else len(images)
    try:
        if not copies:
            return RegressionSamples(images, settings.augment, length, settings.seed, train)
        # One set of augmented versions serves all systems and seeds; their order follows the seed.
        copies = copies if train else 1
        versions = RegressionSamples(images, settings.augment, copies * len(images), _CACHE_SEED, train)
    except ValueError as error:
        raise UserError(f"these settings do not fit each other: {error}") from error
    folder = get_path("workspace", settings.workspace) / "image_features"
    device = choose_device(settings.device)
    return EncodedSamples(versions, copies, encoder, device, folder, settings.seed, length, settings.workers)


def _check_bins(bins: BinSettings, images: LabelledImages) -> None:
    low, high = images.labels.min(), images.labels.max()
    half = (bins.upper - bins.lower) / max(bins.num_bins - 1, 1) / 2
    outside = ((images.labels < bins.lower - half) | (images.labels > bins.upper + half)).any(axis=1)
    if not outside.any():
        return
    found = (
        f"{images.name} has labels from {low:g} to {high:g}, {outside.sum()} of {len(images)} images outside the bins "
        f"of {bins.lower:g} to {bins.upper:g}"
    )
    if outside.mean() > _OUTSIDE:
        raise UserError(f"{found}: widen them by --bins.lower, --bins.upper and --bins.num_bins")
    logger.warning("%s; they count as the outermost bin.", found)


def recipes(
    settings_for: Callable[[System], Any],
    build: Callable[[Any], Task],
    images: Callable[[Any, Any], LabelledImages],
    appendix: str,
    table: str,
) -> dict[str, Recipe]:
    """The six baselines and the energy-based model of a task, as the registry wants them.

    Args:
        settings_for: returns a system's settings.
        build, images: see :class:`Recipe`.
        appendix, table: where the paper describes them, such as 'E' and 'S4'.
    """
    summaries: dict[System, str] = {
        system: f"Baseline '{name}' (Appendix {appendix}.4, Table {table})." for system, name in _BASELINES.items()
    }
    summaries["ebm"] = (
        f"The paper's energy-based model (Appendix {appendix}.1, {appendix}.2), "
        "which refines the baselines' predictions."
    )
    return {
        system: Recipe(summary, partial(settings_for, system), build, images) for system, summary in summaries.items()
    }
