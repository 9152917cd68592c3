"""A detector goes through images, one at a time, and what it finds is scored.

What is found is on disk at once, so an evaluation that is cut off goes on where it stopped.
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
from torch import Tensor, nn
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

import ebm_common
import ltr.models
import ltr.ops
from ebm_common import xyxy_to_xywh
from ltr.common.errors import UserError
from ltr.common.images import ImageReadError
from ltr.common.plain import to_plain
from ltr.common.provenance import device_name, file_hash
from ltr.dataset import DetectionImages
from ltr.evaluation.coco_metrics import CocoMetrics, coco_metrics
from ltr.evaluation.detection_log import DetectionLog, ImageDetections
from ltr.train_settings.detection import check_labels

logger = logging.getLogger(__name__)


def _digest_of_code() -> str:
    code = hashlib.sha256()
    for package in (ebm_common, ltr.models, ltr.ops):
        for file in sorted(Path(package.__file__).parent.rglob("*.py")):
            code.update(file.read_bytes())
    return code.hexdigest()


_CODE = _digest_of_code()  # now, as it is being loaded: what is on disk later may be other code than what runs


@dataclass(frozen=True)
class DetectionResult:
    """What one detector achieved.

    Attributes:
        metrics: of all `images` images, those that could not be read counting as without a detection.
        detections: COCO results.
        seconds_per_image: of each image that was read, reading not counted.
        unreadable: names of the other files.
        images: how many were asked for.
        about: what decided the detections.
        file: where they are kept, if they are.
    """

    metrics: CocoMetrics
    detections: list[dict[str, Any]]
    seconds_per_image: list[float]
    unreadable: list[str]
    images: int
    about: dict[str, Any]
    file: Path | None = None

    @property
    def frames_per_second(self) -> float:
        """Of the median image."""
        return 1 / statistics.median(self.seconds_per_image)


def evaluate(
    detector: nn.Module,
    images: DetectionImages,
    out: Path | None = None,
    refine: bool = True,
    limit: int | None = None,
    progress: bool | tqdm = True,
    restart: bool = False,
) -> DetectionResult:
    """Detect in images, one at a time, and score what was found.

    Args:
        detector: see :class:`ltr.models.detection.detector.Detector`; on its device, in evaluation mode.
        images: what to detect in.
        out: detections are kept in {out}-{digest}.jsonl as they come, and not made anew where they are there; None
            keeps none. The digest is of all that decides them: weights, code, annotations, refinement and machine.
        refine: whether boxes are refined, by systems that can.
        limit: only the first so many images.
        progress: whether to show a bar, or one to move on.
        restart: throw away what is there.

    Raises:
        UserError: categories that the detector does not know, no image that can be read, or a folder that cannot be
            written.
        ValueError: a limit below 1.
    """
    check_labels(images, detector.num_classes)
    number = len(images) if limit is None else min(limit, len(images))
    if number < 1:
        raise ValueError(f"no image is left by a limit of {limit}")
    ids = [int(i) for i in images.ids[:number]]
    about = _about(detector, images, refine)
    with DetectionLog(out, about, restart) as log:
        unreadable = _detect(detector, images, log, ids, refine, progress)
        found = [log[i] for i in ids if i in log]
    detections = [detection for image in found for detection in image.coco()]
    metrics = coco_metrics(images.annotations, detections, ids)
    seconds = [image.seconds for image in found]
    return DetectionResult(metrics, detections, seconds, unreadable, number, about, log.path)


def _detect(
    detector: nn.Module,
    images: DetectionImages,
    log: DetectionLog,
    ids: Sequence[int],
    refine: bool,
    progress: bool | tqdm,
) -> list[str]:
    """Add to the log what it lacks of the images `ids`, the first of `images`; returns the files that were left out."""
    device = next(detector.parameters()).device
    todo = [i for i, image_id in enumerate(ids) if image_id not in log]
    failed: dict[str, Exception] = {}
    own = isinstance(progress, bool)
    bar = tqdm(total=len(ids), unit="image", disable=None if progress else True, leave=False, dynamic_ncols=True) \
        if own else progress  # fmt: skip
    _move_on(bar, len(ids) - len(todo))
    warm = False
    with logging_redirect_tqdm():
        for i, reading in _read_ahead(images, todo):
            try:
                image = torch.from_numpy(reading.result()).permute(2, 0, 1)
                if not warm:  # the first call also chooses kernels and makes room
                    _timed(detector, image, refine, device)
                    warm = True
                found, seconds = _timed(detector, image, refine, device)
                log.append(_plain(ids[i], found, seconds))
            except (ImageReadError, ValueError) as error:  # a ValueError: a shape that a detector cannot take
                logger.warning("%s is left out: %s", images.files[i], error)
                failed[images.files[i]] = error
            bar.update()
    if own:
        bar.close()
    if len(failed) == len(ids):
        raise UserError(f"none of the {len(ids)} images could be used; the first: {next(iter(failed.values()))}")
    return list(failed)


def _read_ahead(images: DetectionImages, numbers: Sequence[int]) -> Iterator[tuple[int, Future[np.ndarray]]]:
    """Images by number; while one is looked at, the next one is read."""
    with ThreadPoolExecutor(1) as reader:
        ahead = []
        for i in numbers:
            ahead.append((i, reader.submit(images.image, i)))
            if len(ahead) == 2:
                yield ahead.pop(0)
        yield from ahead


def _timed(detector: nn.Module, image: Tensor, refine: bool, device: torch.device) -> tuple[dict[str, Tensor], float]:
    """What is found in an image on the CPU, uint8 (3, H, W), and the seconds until it was known."""
    start = time.perf_counter()
    with torch.no_grad():
        found = detector.detect([image.to(device)], refine=refine)[0]
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return found, time.perf_counter() - start


def _plain(image_id: int, found: Mapping[str, Tensor], seconds: float) -> ImageDetections:
    """Rounded to thousandths of a pixel and millionths of a score, so that what is scored is what is on disk."""
    boxes = xyxy_to_xywh(found["boxes"].double().cpu()).tolist()
    return ImageDetections(
        image_id,
        round(seconds, 6),
        [[round(value, 3) for value in box] for box in boxes],
        found["labels"].tolist(),
        [round(score, 6) for score in found["scores"].double().tolist()],
    )


def _about(detector: nn.Module, images: DetectionImages, refine: bool) -> dict[str, Any]:
    """All that decides what is found, and how fast."""
    device = next(detector.parameters()).device
    weights = hashlib.sha256(repr(detector).encode())  # sizes of images are a part of it
    for name, tensor in detector.state_dict().items():
        weights.update(name.encode())
        weights.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return {
        "system": detector.system,
        "weights": weights.hexdigest(),
        "refinement": to_plain(detector.refinement) if detector.refines and refine else None,
        "annotations": file_hash(images.annotations),
        "code": _CODE,
        "libraries": f"torch {torch.__version__}, torchvision {torchvision.__version__}",
        "device": device_name(device),
        "threads": torch.get_num_threads(),
    }


def _move_on(bar: tqdm, number: int) -> None:
    """Count what was done in an earlier session without taking it for speed."""
    if bar.disable:
        return
    bar.initial += number
    bar.n += number
    bar.last_print_n += number
    bar.refresh()
