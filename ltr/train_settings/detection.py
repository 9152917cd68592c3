"""Object detection by a Faster-RCNN and what the ten systems add to it (Section 4.1, Appendix C)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from ltr.actors.density_loss import BoxLossSettings, EnergyLoss
from ltr.actors.detection import DetectionActor, DetectionProposalSettings
from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.settings import OptimizerSettings, ScheduleSettings, TrainSettings, run_field
from ltr.data.detection_samples import DetectionSamples, collate_detection
from ltr.dataset import DatasetError, DetectionImages, read_coco_detection
from ltr.dataset.generated.detection_set import generated_detection
from ltr.models.detection import REFINEMENT, DetectionRefinementSettings, Detector, DetectorSettings, System
from ltr.models.detection.faster_rcnn import BaseSettings, load_base, load_imagenet
from ltr.train_settings.recipe import Recipe
from ltr.trainers.task import Task


@dataclass
class DetectionDataSettings:
    """The images to learn from."""

    set: Literal["coco", "generated"] = "coco"
    """coco: data in COCO's layout. generated: a small set that is made when it is needed."""
    root: Path | None = run_field(None)
    """coco: the folder that holds `annotations`; by default the path 'coco' of the environment."""
    year: int = 2017
    """coco: C.2"""
    flip: float = 0.5
    """Probability that an image is mirrored (maskrcnn-benchmark: half)."""
    val_images: int = run_field(500)
    """Validation uses the first so many images of 'val'."""


@dataclass
class DetectionSettings(TrainSettings):
    """A detector: 60,000 steps of 16 images by SGD, of the branch that the system adds to a trained Faster-RCNN (C.2).

    System `direct` trains the Faster-RCNN itself, from ImageNet's weights.
    """

    detector: DetectorSettings = field(default_factory=DetectorSettings)
    base_weights: Path | None = run_field(None)
    """The trained Faster-RCNN: torchvision's state dict, or the final weights of a run of `direct`; by default
    torchvision's is downloaded. System `direct` starts from it if it is given, and from ImageNet's weights if not."""
    data: DetectionDataSettings = field(default_factory=DetectionDataSettings)
    proposals: DetectionProposalSettings = field(default_factory=DetectionProposalSettings)
    loss: EnergyLoss = "nll"
    """ebm only. nll: the paper's likelihood. The others are those of Gustafsson et al., BMVC 2020, whose detectors
    refine with steps of (4e-4, 1.6e-3), nce_plus (8e-4, 3.2e-3), dsm and mcmc (2.5e-5, 1e-4)."""
    loss_constants: BoxLossSettings = field(default_factory=BoxLossSettings)
    """Of kld, mcmc and dsm; nce and nce_plus have theirs in the proposals."""
    epochs: int = 60
    """Of 1,000 steps each."""
    samples_per_epoch: int = 16_000
    batch_size: int = 16
    optimizer: OptimizerSettings = field(
        default_factory=lambda: OptimizerSettings(kind="sgd", lr=1e-3, weight_decay=1e-4)
    )
    schedule: ScheduleSettings = field(default_factory=lambda: ScheduleSettings(kind="multistep", gamma=0.1))


_RATES = {"direct": 0.02, "iou_net": 1e-2, "iou_net_star": 1e-2, "ebm": 1e-3}
_DENSITY_RATE = 5e-3


def settings_for(system: System) -> DetectionSettings:
    """The paper's settings of a system."""
    settings = DetectionSettings()
    settings.detector = DetectorSettings(
        system, BaseSettings(), replace(REFINEMENT.get(system, DetectionRefinementSettings()))
    )
    settings.optimizer.lr = _RATES.get(system, _DENSITY_RATE)
    return settings


def images(settings: DetectionSettings, part: Literal["train", "val"]) -> DetectionImages:
    """A part of the data.

    Raises:
        UserError: if the data are missing or damaged, or have labels that the detector does not know.
    """
    d = settings.data
    if d.set == "generated":
        root, year = generated_detection(get_path("workspace", settings.workspace)), None
    else:
        root, year = get_path("coco", d.root), d.year
    found = read_coco_detection(root, part, year)
    check_labels(found, settings.detector.base.num_classes)
    return found


def check_labels(found: DetectionImages, num_classes: int) -> None:
    """Check that a detector knows all labels of the data.

    Raises:
        DatasetError: if it does not.
    """
    largest = max(found.categories, default=0)
    if largest >= num_classes:
        shifted = ", labels are the file's ids plus 1 because it has a category 0" * found.label_offset
        raise DatasetError(
            f"{found.annotations} has category {largest} ({found.categories[largest]}{shifted}), but the detector "
            f"knows 1 to {num_classes - 1} only; one trained with --detector.base.num_classes {largest + 1} "
            "would know it"
        )


def build(settings: DetectionSettings) -> Task:
    """The training task of the settings.

    Raises:
        UserError: if settings do not fit each other, or data or weights are missing.
    """
    d, base = settings.data, settings.detector.base
    if d.val_images < 1:
        raise UserError(f"data.val_images is {d.val_images}; it must be at least 1")
    train, val = images(settings, "train"), images(settings, "val")
    try:
        actor = DetectionActor(Detector(settings.detector), settings.proposals, settings.loss, settings.loss_constants)
        length = settings.epochs * settings.samples_per_epoch
        samples = DetectionSamples(train, length, settings.seed, train=True, flip=d.flip, max_ratio=base.max_size)
        number = min(d.val_images, len(val.usable()))
        held_out = DetectionSamples(val, number, settings.seed, train=False, max_ratio=base.max_size)
    except ValueError as error:
        raise UserError(f"these settings do not fit each other: {error}") from error
    detector = actor.detector
    if settings.detector.system == "direct" and settings.base_weights is None:
        load_imagenet(detector.base, base.name)
    else:
        load_base(detector.base, base.name, settings.base_weights)
        detector.start_branch()
    task = Task(actor, samples, held_out, collate_detection)
    if detector.refines:
        task.best, task.best_mode = "refined_iou", "max"
    return task


_SUMMARIES: dict[System, str] = {
    "direct": "Faster-RCNN itself, whose boxes are regressed directly (Appendix C.1): the base of all other systems.",
    "gaussian": "Faster-RCNN with a Gaussian density of each box offset (Appendix C.1, Figure S1b).",
    "mixture2": "Faster-RCNN with a mixture of two Gaussians for the box offsets (Appendix C.1).",
    "mixture4": "Faster-RCNN with a mixture of four Gaussians for the box offsets (Appendix C.1).",
    "mixture8": "Faster-RCNN with a mixture of eight Gaussians for the box offsets (Appendix C.1).",
    "cvae": "Faster-RCNN with a conditional variational autoencoder for the box offsets (Appendix C.1).",
    "laplace": "Faster-RCNN with a Laplace density of each box offset (Appendix C.1, Figure S1b).",
    "iou_net": "IoU-Net: predicted overlaps, trained on boxes that are uniform in it (Appendix C.2).",
    "iou_net_star": "IoU-Net*: predicted overlaps, trained on boxes of the Gaussian mixture (Appendix C.2).",
    "ebm": "The paper's energy-based model (Section 4.1, Appendix C.2).",
}
SYSTEMS: dict[str, Recipe] = {
    name: Recipe(summary, partial(settings_for, name), build) for name, summary in _SUMMARIES.items()
}
