"""Detections as they come, one line of JSON for each image: an evaluation that is cut off goes on where it stopped.

The first line says what the others belong to: weights, data, settings, machine. A digest of it is part of the file's
name, so other weights or settings have a file of their own: nothing old is taken for new, and nothing is overwritten.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from ltr.common.errors import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageDetections:
    """What a detector found in one image.

    Attributes:
        image_id: COCO's.
        seconds: that it took.
        boxes: n of them, x, y, w, h in pixels.
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
    """The detections of images, by image id, on disk as soon as they are appended. Use in a `with` block.

    Args:
        path: without its ending: the file is {path}-{digest}.jsonl. None keeps all in memory only.
        about: what decides the detections, as plain values.
        restart: throw away what is there.

    Raises:
        UserError: the file cannot be read or written, or is none of these.
    """

    def __init__(self, path: Path | None, about: Mapping[str, Any], restart: bool = False):
        header = json.dumps({"about": about}, sort_keys=True)
        digest = hashlib.sha256(header.encode()).hexdigest()[:10]
        self.path = None if path is None else path.with_name(f"{path.name}-{digest}.jsonl")
        self._images: dict[int, ImageDetections] = {}
        self._file = None
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b")  # noqa: SIM115
            if restart:
                self._file.truncate(0)
            self._read(header)
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
        """Raises UserError where the disk is full."""
        self._images[image.image_id] = image
        self._write(json.dumps(asdict(image)))

    def _read(self, header: str) -> None:
        """What is there; a last line that a kill cut off is cut away."""
        self._file.seek(0)
        first, *lines = self._file.read().split(b"\n")
        if not lines:  # new, or cut off in its very first line
            self._file.truncate(0)
            self._write(header)
            return
        if first != header.encode():
            raise UserError(f"{self.path} holds something else than its name says; move it away")
        if torn := lines.pop():
            self._file.truncate(self._file.tell() - len(torn))
        for number, line in enumerate(lines, 2):
            try:
                image = ImageDetections(**json.loads(line))
                self._images[image.image_id] = image
            except (ValueError, TypeError):
                logger.warning("%s, line %d is damaged; its image is done again", self.path, number)

    def _write(self, line: str) -> None:
        if self._file is None:
            return
        try:
            self._file.write(line.encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> UserError:
        return UserError(f"{self.path} cannot be written: {error.strerror or error}; name another folder by --out")
