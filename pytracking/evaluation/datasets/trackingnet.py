"""TrackingNet's test set (Müller et al., ECCV 2018): 511 sequences, of which only the first box is published.

::

    TEST/frames/0-6LB4FqxoE_0/0.jpg, 1.jpg, ...
    TEST/anno/0-6LB4FqxoE_0.txt                     x,y,w,h

The folders TRAIN_0 to TRAIN_11 look alike and are annotated in full: name one of them as a folder of your own to run
and score it. Pixels count from 0; nobody states it, and boxes of the training sets go beyond the image.
"""

import os
from functools import partial
from pathlib import Path

from ltr.common.environment import get_path
from pytracking.evaluation.datasets.base import SequenceList, TrackingSequence, read_all
from pytracking.evaluation.datasets.files import extend_first_box, frame_of_each_line, read_boxes, read_images

TRACKINGNET_ORIGIN = 0.0
TRACKINGNET_SIZE = 511
"""Sequences of the test set."""
TRACKINGNET_SERVER = "TrackingNet's server, https://eval.tracking-net.org"
LOOKED_FOR = "expected TEST/frames/NAME/0.jpg, ... and TEST/anno/NAME.txt"


def read_trackingnet(root: str | os.PathLike | None) -> SequenceList:
    """The sequences of TrackingNet's test set under ``root``: the folder with TEST/, or TEST/ itself."""
    root = get_path("trackingnet", root)
    folder = root / "TEST" if (root / "TEST").is_dir() else root
    return read_trackingnet_folder(folder, "TrackingNet", expected=TRACKINGNET_SIZE)


def read_trackingnet_folder(folder: Path, title: str, expected: int | None = None) -> SequenceList:
    """The sequences of a folder with frames/ and anno/."""
    files = sorted(path for path in (folder / "anno").glob("*.txt") if path.name[0] != ".")
    readers = {file.stem: partial(_read_sequence, file.stem, folder / "frames" / file.stem, file) for file in files}
    return read_all(title, folder, readers, expected=expected, looked_for=LOOKED_FOR)


def _read_sequence(name: str, folder: Path, annotation: Path) -> TrackingSequence:
    boxes = read_boxes(annotation)
    images = read_images(folder, name)
    first = min(images)
    alone = len(boxes) == 1 < len(images)
    if alone:
        boxes = extend_first_box(boxes, max(images) - first + 1)
    frames = frame_of_each_line(images, first, annotation, len(boxes), name)
    server = TRACKINGNET_SERVER if alone else ""
    return TrackingSequence(
        name, frames, boxes, "trackingnet", TRACKINGNET_ORIGIN, scoring="trackingnet", scored_by=server
    )
