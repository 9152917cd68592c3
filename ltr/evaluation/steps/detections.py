"""Step-lengths and decay of a detector: mean IoU with the truth of its refined detections (C.4)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ebm_common import elementwise_iou, xyxy_to_xywh
from ltr.common.device import DeviceChoice, choose_device
from ltr.common.errors import UserError
from ltr.common.images import ImageReadError
from ltr.dataset import DetectionImages
from ltr.evaluation.line_log import LineLog
from ltr.evaluation.steps.by_workers import WHOLE, MeasuredLog, Part
from ltr.evaluation.steps.choice import StepChoice
from ltr.evaluation.steps.measured import Measured, mean_of, measured_log
from ltr.models.detection import DetectionRefinementSettings, Detector, load_detector
from ltr.models.detection.confidence import Pyramid

MEAN_IOU = "mean IoU of refined detections, %"
_MATCH = 0.5  # least IoU of a detection with an object
_AT_ONCE = 1024  # boxes that are refined together: about 50 MB of pooled features
logger = logging.getLogger(__name__)


def measure_detections(
    detector: Detector,
    images: DetectionImages,
    tried: Sequence[DetectionRefinementSettings],
    log: LineLog[Measured] | None = None,
    limit: int | None = None,
    name: str = "step-lengths",
) -> tuple[float, np.ndarray]:
    """The mean IoU, in percent, of detections with the objects that they match, before and after refinement.

    Detections count whose IoU with an object of their class is at least 0.5 before refinement. Features and detections
    of an image are computed once for all settings. An unreadable image is left out with a warning.

    Args:
        detector: a detector that refines; its settings stay unchanged.
        images: validation images.
        tried: the settings of the refinement to try.
        log: keeps what is measured, one result for each image; None keeps nothing.
        limit: number of images with an object, from the first; None for all.
        name: for the progress bar and the log.

    Raises:
        UserError: if nothing is detected.
    """
    log = measured_log(None, tried, {}) if log is None else log
    measure_images(detector, images, tried, log, limit, name)
    try:
        return mean_of(log[item] for item in _items(images, limit, name).values() if item in log)
    except ValueError:
        raise UserError(f"nothing in {images.name} was detected, so no step-length can be chosen on it") from None


def measure_images(
    detector: Detector,
    images: DetectionImages,
    tried: Sequence[DetectionRefinementSettings],
    log: MeasuredLog,
    limit: int | None,
    name: str,
    part: Part = WHOLE,
) -> None:
    """Measures images that are not in the log yet, all of :func:`measure_detections` or a part of them."""
    items = _items(images, limit, name)
    chosen = part.of(list(items))
    todo = [i for i in chosen if items[i] not in log]
    own = detector.refinement
    bar = tqdm(
        todo,
        desc=name,
        unit="image",
        initial=len(chosen) - len(todo),
        total=len(chosen),
        leave=False,
        disable=part.without_bar,
    )
    try:
        with logging_redirect_tqdm():
            for i in bar:
                try:
                    log.append(_measure(detector, images, i, tried, items[i]))
                except ImageReadError as error:
                    logger.warning("%s is left out: %s", images.files[i], error)
    finally:
        detector.refinement = own


@dataclass(frozen=True)
class MakeImageMeasuring:
    """Loads a detector in a worker. The attributes are arguments of :func:`measure_images`."""

    file: Path
    device: DeviceChoice
    images: DetectionImages
    tried: Sequence[DetectionRefinementSettings]
    limit: int | None
    name: str

    def __call__(self) -> tuple[ImageMeasuring, None]:
        return ImageMeasuring(self, load_detector(self.file, choose_device(self.device))), None


@dataclass(frozen=True)
class ImageMeasuring:
    """A detector in a worker."""

    about: MakeImageMeasuring
    detector: Detector

    def measure(self, log: MeasuredLog, part: Part) -> None:
        """Measures a part of the images."""
        a = self.about
        measure_images(self.detector, a.images, a.tried, log, a.limit, a.name, part)


def _items(images: DetectionImages, limit: int | None, name: str) -> dict[int, str]:
    """By the number of an image, its key in the log."""
    return {i: f"{name} {int(images.ids[i])}" for i in images.usable()[:limit].tolist()}


@torch.no_grad()
def _measure(
    detector: Detector, images: DetectionImages, i: int, tried: Sequence[DetectionRefinementSettings], item: str
) -> Measured:
    device = next(detector.parameters()).device
    image = torch.from_numpy(images.image(i)).permute(2, 0, 1).float().to(device) / 255
    encoded = detector.encode([image])
    (found,) = detector.suppressed(encoded)
    (height, width), (h, w) = image.shape[1:], encoded.sizes[0]
    scale = torch.tensor([w / width, h / height] * 2, device=device)
    truth = torch.tensor(images.boxes(i), device=device) * scale
    same = found["labels"][:, None] == torch.tensor(images.labels(i), device=device)
    iou, nearest = (box_iou(found["boxes"], truth) * same).max(1)
    keep = iou >= _MATCH
    boxes, labels, truth = found["boxes"][keep], found["labels"][keep], truth[nearest[keep]]
    sums = [0.0] * len(tried)
    if len(boxes):
        pyramid = detector.pyramid(encoded.features, encoded.sizes)
        for (decay, iterations), indices in _alike(tried).items():
            detector.refinement = DetectionRefinementSettings(decay=decay, iterations=iterations)
            steps = torch.tensor([tried[k].step for k in indices], device=device)
            refined = _refined(detector, pyramid, labels, boxes, steps)
            for k, overlap in zip(indices, _percent_iou(refined, truth).sum(1).tolist(), strict=True):
                sums[k] = round(overlap, 4)
    return Measured(item, len(boxes), round(_percent_iou(boxes, truth).sum().item(), 4), sums)


def refinement_of(choice: StepChoice, own: DetectionRefinementSettings) -> DetectionRefinementSettings:
    """The refinement that a search has chosen for a detector whose settings are `own`."""
    decay = own.decay if choice.decay is None else choice.decay
    return DetectionRefinementSettings((choice.step[0], choice.step[-1]), decay, choice.iterations)


def _alike(tried: Sequence[DetectionRefinementSettings]) -> dict[tuple[float, int], list[int]]:
    """Indices of the settings that differ only in the step-lengths, by decay and number of iterations."""
    found: dict[tuple[float, int], list[int]] = {}
    for k, settings in enumerate(tried):
        found.setdefault((settings.decay, settings.iterations), []).append(k)
    return found


def _refined(detector: Detector, pyramid: Pyramid, labels: Tensor, boxes: Tensor, steps: Tensor) -> Tensor:
    """Each of K boxes refined with each of G steps (G, 2): corners (G, K, 4)."""
    g, k = len(steps), len(boxes)
    each = steps.repeat_interleave(k, 0), labels.repeat(g), boxes.repeat(g, 1)
    parts = [
        detector.refine(pyramid, torch.zeros_like(label), label, box, step)[0]
        for step, label, box in zip(*(values.split(_AT_ONCE) for values in each), strict=True)
    ]
    return torch.cat(parts).view(g, k, 4)


def _percent_iou(boxes: Tensor, truth: Tensor) -> Tensor:
    """IoU in percent, float64, of corners (..., K, 4), each with its own of (K, 4)."""
    return 100 * elementwise_iou(xyxy_to_xywh(boxes.double()), xyxy_to_xywh(truth.double()))
