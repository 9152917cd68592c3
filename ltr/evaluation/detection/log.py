"""A log of detections: one line of JSON for each image, so that an interrupted evaluation can continue."""

from __future__ import annotations

import math
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

    Raises:
        ValueError: if they are not, as in a damaged log.
    """

    image_id: int
    seconds: float
    boxes: list[list[float]]
    labels: list[int]
    scores: list[float]

    def __post_init__(self) -> None:
        lists = (self.boxes, self.labels, self.scores)
        if not all(isinstance(each, list) for each in lists) or len({len(each) for each in lists}) > 1:
            raise ValueError("boxes, labels and scores are no lists of one length")
        numbers = [self.seconds, *self.scores]
        for box in self.boxes:
            if not isinstance(box, list) or len(box) != 4:
                raise ValueError("a box has no four numbers")
            numbers += box
        if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
            raise ValueError("a number is none, or not finite")
        if not all(type(number) is int for number in (self.image_id, *self.labels)) or self.seconds <= 0:
            raise ValueError("an id or a label is no integer, or the time not positive")

    def coco(self) -> Iterator[dict[str, Any]]:
        """The detections as COCO results."""
        for box, label, score in zip(self.boxes, self.labels, self.scores, strict=True):
            yield {"image_id": self.image_id, "category_id": label, "bbox": box, "score": score}


def detection_log(path: Path | None, about: Mapping[str, Any], restart: bool = False) -> LineLog[ImageDetections]:
    """The detections of images, by image id; arguments and errors are those of :class:`LineLog`."""
    return LineLog(path, ImageDetections, "image_id", about, restart)
