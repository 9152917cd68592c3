"""The ten systems on a small detector and generated images: minutes each without a GPU."""

from __future__ import annotations

from dataclasses import replace

from ltr.common.settings import ScheduleSettings
from ltr.models.detection import CONFIDENCE_SYSTEMS, System
from ltr.train_settings.detection import DetectionSettings, settings_for

GENERATED_CLASSES = 6  # five, and the background


def small(system: System, seed: int) -> DetectionSettings:
    """A system's settings as in the paper, except for the detector, the images, and a schedule that fits them.

    400 steps take the place of the paper's 60,000 for the systems with a confidence branch, 800 for densities.
    """
    settings = settings_for(system)
    settings.seed = seed
    settings.data.set = "generated"
    settings.detector.base = replace(
        settings.detector.base,
        name="efficientnet_lite0_fpn",
        num_classes=GENERATED_CLASSES,
        min_size=240,
        max_size=320,
    )
    settings.batch_size, settings.samples_per_epoch = 8, 800
    settings.epochs = 4 if system in CONFIDENCE_SYSTEMS else 8
    if system in ("iou_net", "iou_net_star"):
        settings.optimizer.lr *= 5  # at the paper's rate, unlike the others, they learn little in so few steps
    settings.schedule = ScheduleSettings(kind="one_cycle", warmup=0.1)
    settings.grad_clip = 10.0
    settings.val_every = settings.epochs
    settings.data.val_images = 64
    settings.workers = 0
    return settings
