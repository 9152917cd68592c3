"""Evaluation of a detector: it detects in images, one at a time, and COCO's metrics score its detections.

Detections are on disk at once, so an interrupted evaluation continues where it stopped.
"""

from __future__ import annotations

import hashlib
import logging
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ebm_common import xyxy_to_xywh
from ltr.common.errors import UserError
from ltr.common.images import ImageReadError
from ltr.common.plain import to_plain
from ltr.common.provenance import device_name, file_hash
from ltr.dataset import DetectionImages
from ltr.evaluation.detection.coco_metrics import MAX_DETECTIONS, CocoMetrics, coco_metrics
from ltr.evaluation.detection.log import ImageDetections, detection_log
from ltr.evaluation.line_log import CODE, LineLog
from ltr.models.detection import Detector
from ltr.train_settings.detection import check_labels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DetectorEvaluation:
    """Detections and scores of one detector.

    Attributes:
        metrics: over all images; an unreadable image counts as without a detection.
        detections: COCO results, with the category ids of the annotation file.
        seconds_per_image: for each image that was read, without the time for reading it.
        unreadable: names of the unreadable files.
        num_images: number of images, unreadable ones included.
        about: everything that decided the detections.
        file: the log of the detections, or None.
    """

    metrics: CocoMetrics
    detections: list[dict[str, Any]]
    seconds_per_image: list[float]
    unreadable: list[str]
    num_images: int
    about: dict[str, Any]
    file: Path | None = None

    @property
    def images_per_second(self) -> float:
        """Images a second, for the median image."""
        return 1 / statistics.median(self.seconds_per_image)


def evaluate_detector(
    detector: Detector,
    images: DetectionImages,
    out: Path | None = None,
    refine: bool = True,
    limit: int | None = None,
    progress: bool | tqdm = True,
    restart: bool = False,
    max_detections: int = MAX_DETECTIONS,
) -> DetectorEvaluation:
    """Detects in images, one at a time, and scores the detections.

    Args:
        detector: on its device, in evaluation mode.
        images: images with annotations.
        out: detections go to {out}-{digest}.jsonl at once, and detections in that file are reused; None writes no file.
            The digest covers everything that decides them: weights, code, annotations, refinement and machine.
        refine: whether systems that can refine boxes do so.
        limit: number of images, from the first; None for all.
        progress: whether to show a progress bar, or a bar to advance.
        restart: whether to discard detections of an earlier call.
        max_detections: how many detections of an image count, and how many the detector returns.

    Raises:
        UserError: if the detector does not know a category, no image can be read, or a folder cannot be written.
        ValueError: if the limit is below 1.
    """
    check_labels(images, detector.num_classes)
    num_images = len(images) if limit is None else min(limit, len(images))
    if num_images < 1:
        raise ValueError(f"a limit of {limit} leaves no image")
    ids = [int(i) for i in images.ids[:num_images]]
    about = _about(detector, images, refine)
    if max_detections != MAX_DETECTIONS:
        detector.max_detections = max_detections
        about["max_detections"] = max_detections
    with detection_log(out, about, restart) as log:
        unreadable = _detect(detector, images, log, ids, refine, progress)
        found = [log[i] for i in ids if i in log]
    detections = [detection for image in found for detection in image.coco()]
    for detection in detections:
        detection["category_id"] -= images.label_offset
    metrics = coco_metrics(images.annotations, detections, ids, max_detections)
    seconds = [image.seconds for image in found]
    return DetectorEvaluation(metrics, detections, seconds, unreadable, num_images, about, log.path)


def _detect(
    detector: Detector,
    images: DetectionImages,
    log: LineLog[ImageDetections],
    ids: Sequence[int],
    refine: bool,
    progress: bool | tqdm,
) -> list[str]:
    """Detects in the images `ids`, the first of `images`, that the log lacks; returns the files it could not use."""
    device = next(detector.parameters()).device
    todo = [i for i, image_id in enumerate(ids) if image_id not in log]
    failed: dict[str, Exception] = {}
    own = isinstance(progress, bool)
    bar: tqdm = (
        tqdm(total=len(ids), unit="image", disable=None if progress else True, leave=False, dynamic_ncols=True)
        if isinstance(progress, bool)
        else progress
    )
    _skip(bar, len(ids) - len(todo))
    warm = False
    with logging_redirect_tqdm():
        for i, reading in _read_ahead(images, todo):
            try:
                image = torch.from_numpy(reading.result()).permute(2, 0, 1)
                if not warm:  # the first call also chooses kernels and allocates memory
                    _timed(detector, image, refine, device)
                    warm = True
                found, seconds = _timed(detector, image, refine, device)
                log.append(_plain(ids[i], found, seconds))
            except (ImageReadError, ValueError) as error:  # a detector raises ValueError for an impossible shape
                logger.warning("%s is skipped: %s", images.files[i], error)
                failed[images.files[i]] = error
            bar.update()
    if own:
        bar.close()
    if len(failed) == len(ids):
        raise UserError(f"none of the {len(ids)} images could be used; the first: {next(iter(failed.values()))}")
    return list(failed)


def _read_ahead(images: DetectionImages, indices: Sequence[int]) -> Iterator[tuple[int, Future[np.ndarray]]]:
    """Images by index; the next one is read while the caller uses one."""
    with ThreadPoolExecutor(1) as reader:
        ahead: list[tuple[int, Future[np.ndarray]]] = []
        for i in indices:
            ahead.append((i, reader.submit(images.image, i)))
            if len(ahead) == 2:
                yield ahead.pop(0)
        yield from ahead


def _timed(detector: Detector, image: Tensor, refine: bool, device: torch.device) -> tuple[dict[str, Tensor], float]:
    """The detections in an image on the CPU, uint8 (3, H, W), and the seconds they took."""
    start = time.perf_counter()
    with torch.no_grad():
        found = detector.detect([image.to(device)], refine=refine)[0]
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return found, time.perf_counter() - start


def _plain(image_id: int, found: Mapping[str, Tensor], seconds: float) -> ImageDetections:
    """Detections rounded to 0.001 pixels and scores to 1e-6, so that those scored equal those on disk."""
    boxes = xyxy_to_xywh(found["boxes"].cpu().double()).tolist()
    return ImageDetections(
        image_id,
        round(seconds, 6),
        [[round(value, 3) for value in box] for box in boxes],
        found["labels"].tolist(),
        [round(score, 6) for score in found["scores"].cpu().double().tolist()],
    )


def _about(detector: Detector, images: DetectionImages, refine: bool) -> dict[str, Any]:
    """Everything that decides the detections and their speed."""
    device = next(detector.parameters()).device
    weights = hashlib.sha256(repr(detector).encode())  # contains the size to which images are scaled
    for name, tensor in detector.state_dict().items():
        weights.update(name.encode())
        weights.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return {
        "system": detector.system,
        "weights": weights.hexdigest(),
        "refinement": to_plain(detector.refinement) if detector.refines and refine else None,
        "annotations": file_hash(images.annotations),
        "code": CODE,
        "libraries": f"torch {torch.__version__}, torchvision {torchvision.__version__}",
        "device": device_name(device),
        "threads": torch.get_num_threads(),
    }


def _skip(bar: tqdm, count: int) -> None:
    """Advances a bar by images of an earlier session, which do not count for its speed."""
    if bar.disable:
        return
    bar.initial += count
    bar.n += count
    bar.last_print_n += count
    bar.refresh()
