"""A log of detections: one line of JSON for each image, so that an interrupted evaluation can continue.

The first line identifies the evaluation: weights, data, settings, machine. The file's name contains a digest of it, so
other weights or settings have another file: old detections are never mistaken for new ones, and none are overwritten.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from ltr.common.errors import UserError
from ltr.evaluation.tables import REMEDY

logger = logging.getLogger(__name__)


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


class DetectionLog:
    """The detections of images, by image id. Appended detections are on disk at once. Use it in a `with` block.

    Args:
        path: without its ending: the file is {path}-{digest}.jsonl. None keeps all in memory only.
        about: everything that decides the detections, as plain values.
        restart: whether to discard the content of an existing file.

    Raises:
        UserError: if the file cannot be read or written, or is no such log.
    """

    def __init__(self, path: Path | None, about: Mapping[str, Any], restart: bool = False):
        header = json.dumps({"about": about}, sort_keys=True)
        digest = hashlib.sha256(header.encode()).hexdigest()[:10]
        self.path = None if path is None else path.with_name(f"{path.name}-{digest}.jsonl")
        self._images: dict[int, ImageDetections] = {}
        self._file: BinaryIO | None = None
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b")  # noqa: SIM115
            if restart:
                self._file.truncate(0)
            self._read(self._file, header)
        except OSError as error:
            raise self._failed(error) from error

    def __enter__(self) -> DetectionLog:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def __contains__(self, image_id: int) -> bool:
        return image_id in self._images

    def __getitem__(self, image_id: int) -> ImageDetections:
        return self._images[image_id]

    def append(self, image: ImageDetections) -> None:
        """Adds the detections of an image.

        Raises:
            UserError: if the disk is full.
        """
        self._images[image.image_id] = image
        self._write(json.dumps(asdict(image)))

    def _read(self, file: BinaryIO, header: str) -> None:
        """Reads an existing log; removes an incomplete last line, as a killed process leaves it."""
        file.seek(0)
        first, *lines = file.read().split(b"\n")
        if not lines:  # a new file, or one with an incomplete first line
            file.truncate(0)
            self._write(header)
            return
        if first != header.encode():
            raise UserError(f"the content of {self.path} does not belong to its name; move it away")
        if incomplete := lines.pop():
            file.truncate(file.tell() - len(incomplete))
        for number, line in enumerate(lines, 2):
            try:
                image = ImageDetections(**json.loads(line))
                self._images[image.image_id] = image
            except (ValueError, TypeError):
                logger.warning("%s, line %d is damaged; its image is evaluated again", self.path, number)

    def _write(self, line: str) -> None:
        if self._file is None:
            return
        try:
            self._file.write(line.encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> UserError:
        return UserError(f"{self.path} cannot be written: {error.strerror or error}; {REMEDY}")
