"""COCO's average precision and recall of boxes (Table 2 and Table S1), computed by pycocotools."""

from __future__ import annotations

import contextlib
import io
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ltr.common.errors import UserError
from ltr.dataset.coco_files import annotation_problem, instances_form, read_instances, report_unusable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CocoMetrics:
    """COCO's twelve numbers, each in [0, 1], or NaN if there is no object to find (for example, no small one).

    Attributes:
        ap: mean average precision over the IoU thresholds 0.50, 0.55, ..., 0.95 and over categories.
        ap50, ap75: at one threshold.
        ap_small, ap_medium, ap_large: of objects up to 32^2, up to 96^2 and above 96^2 pixels, by their 'area'.
        ar1, ar10, ar100: mean recall with so many detections of a category in an image; `ar100` with
            `max_detections` where that is another number.
        ar_small, ar_medium, ar_large: likewise, by size.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar1: float
    ar10: float
    ar100: float
    ar_small: float
    ar_medium: float
    ar_large: float


MAX_DETECTIONS = 100
"""By COCO's rule, so many detections of an image count, those with the highest scores."""


def coco_metrics(
    annotations: Path,
    detections: Sequence[dict[str, Any]],
    image_ids: Iterable[int] | None = None,
    max_detections: int = MAX_DETECTIONS,
) -> CocoMetrics:
    """Scores detections.

    By COCO's rule, detections of a category that the annotations lack do not count; a warning says how many there are.

    Args:
        annotations: a COCO instances file. Objects without 'iscrowd' are no crowds; a missing 'area' is w h.
            Annotations that cannot be used do not count; a warning says how many there are.
        detections: COCO results, each with image_id, category_id, bbox (x, y, w, h in pixels) and score.
        image_ids: the images that count; None for all of the file. Detections in other images are ignored.
        max_detections: how many detections of an image and category count at most, at least 10. Other numbers than
            COCO's are for crowds.

    Raises:
        DatasetError: if the annotations cannot be read.
        UserError: if a detection is not finite or has an unknown image, or if an image id is unknown.
    """
    truth = _read(annotations)
    known = {image["id"] for image in truth["images"]}
    found = _checked(detections, known, annotations)
    categories = {category["id"] for category in truth["categories"]}
    unknown = sorted({d["category_id"] for d in found} - categories)
    if unknown:
        count = sum(d["category_id"] in unknown for d in found)
        log.warning(
            "%d of %d detections are of categories that %s does not have (%s) and do not count.",
            count, len(found), annotations, ", ".join(map(str, unknown[:10])) + (", ..." if unknown[10:] else ""),
        )  # fmt: skip
    wanted = known if image_ids is None else {int(i) for i in image_ids}
    if wanted - known:
        raise UserError(f"image {min(wanted - known)} is to be scored, but {annotations} does not have it")
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints every step
        evaluation = COCOeval(_index(truth), _index({**truth, "annotations": found}), "bbox")
        evaluation.params.imgIds = sorted(wanted)
        evaluation.params.maxDets = [1, 10, max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
    return _summary(evaluation)


def _summary(evaluation: COCOeval) -> CocoMetrics:
    """The twelve numbers; pycocotools' own summary fails where a number other than 100 of detections counts."""
    precision = evaluation.eval["precision"]  # thresholds, points of recall, categories, areas, numbers of detections
    recall = evaluation.eval["recall"]  # thresholds, categories, areas, numbers of detections

    def mean(values: np.ndarray) -> float:
        known = values[values > -1]
        return float(known.mean()) if known.size else math.nan

    thresholds = evaluation.params.iouThrs
    at50, at75 = int(np.argmin(abs(thresholds - 0.5))), int(np.argmin(abs(thresholds - 0.75)))
    return CocoMetrics(
        mean(precision[..., 0, 2]),
        mean(precision[at50, ..., 0, 2]),
        mean(precision[at75, ..., 0, 2]),
        *(mean(precision[..., area, 2]) for area in (1, 2, 3)),
        *(mean(recall[..., 0, number]) for number in range(3)),
        *(mean(recall[..., area, 2]) for area in (1, 2, 3)),
    )


def _read(path: Path) -> dict[str, Any]:
    """The parts of an instances file that pycocotools needs; its ids start at 1, because 0 means 'no match' to it."""
    data = read_instances(path)
    with instances_form(path):
        categories = {category["id"] for category in data["categories"]}
        images = [{"id": image["id"]} for image in data["images"]]
        known = {image["id"] for image in images}
        objects: list[dict[str, Any]] = []
        first = ""
        for number, annotation in enumerate(data["annotations"], 1):
            problem = annotation_problem(annotation, known, categories)
            if problem:
                name = annotation.get("id", number) if isinstance(annotation, dict) else number
                first = first or f"annotation {name}: {problem}"
                continue
            x, y, w, h = (float(value) for value in annotation["bbox"])
            area = annotation.get("area")
            objects.append(
                {
                    "id": number,
                    "image_id": annotation["image_id"],
                    "category_id": annotation["category_id"],
                    "bbox": [x, y, w, h],
                    "area": w * h if area is None else float(area),
                    "iscrowd": int(bool(annotation.get("iscrowd"))),
                }
            )
        total = len(data["annotations"])
    report_unusable(path, total - len(objects), total, first)
    return {"images": images, "categories": [{"id": c} for c in sorted(categories)], "annotations": objects}


def _checked(detections: Sequence[dict[str, Any]], known: set[int], annotations: Path) -> list[dict[str, Any]]:
    """The detections in pycocotools' form, in new dictionaries."""
    found = []
    for number, detection in enumerate(detections, 1):
        image, category = int(detection["image_id"]), int(detection["category_id"])
        box, score = [float(value) for value in detection["bbox"]], float(detection["score"])
        if image not in known:
            raise UserError(
                f"detection {number} is of image {image}, which {annotations} does not have: the detections belong to "
                "other data"
            )
        if not np.isfinite([*box, score]).all():
            raise UserError(f"detection {number}, of image {image}, is not finite: box {box}, score {score}")
        _, _, w, h = box
        if w < 0 or h < 0:
            raise UserError(
                f"detection {number}, of image {image}, has a box of negative size, {box}: it must be x, y, w, h"
            )
        found.append(
            {
                "id": number,
                "image_id": image,
                "category_id": category,
                "bbox": box,
                "score": score,
                "area": w * h,
                "iscrowd": 0,
            }
        )
    return found


def _index(data: dict[str, Any]) -> COCO:
    indexed = COCO()
    indexed.dataset = data
    indexed.createIndex()
    return indexed
