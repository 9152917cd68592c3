"""A log of detections: one line of JSON for each image, so that an interrupted evaluation can continue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltr.evaluation.line_log import LineLog


@dataclass(frozen=True)
class ImageDetections:
    """The detections in one image.

    Attributes:
        image_id: COCO's id of the image.
        seconds: time that the detector took.
        boxes: n boxes x, y, w, h in pixels.
        labels, scores: n each.
    """

    image_id: int
    seconds: float
    boxes: list[list[float]]
    labels: list[int]
    scores: list[float]

    def coco(self) -> Iterator[dict[str, Any]]:
        """The detections as COCO results."""
        for box, label, score in zip(self.boxes, self.labels, self.scores, strict=True):
            yield {"image_id": self.image_id, "category_id": label, "bbox": box, "score": score}


def detection_log(path: Path | None, about: Mapping[str, Any], restart: bool = False) -> LineLog[ImageDetections]:
    """The detections of images, by image id; arguments and errors are those of :class:`LineLog`."""
    return LineLog(path, ImageDetections, "image_id", about, restart)
