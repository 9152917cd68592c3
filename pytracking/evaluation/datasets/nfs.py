"""Need for Speed (Galoogahi et al., ICCV 2017) at 30 frames per second.

Its sequences are found on disk, either as published (annotated at 240 frames per second, every eighth line is used)::

    dog_1/30/dog_1/00001.jpg ...    dog_1/30/dog_1.txt: columns 2-5 are left, top, right, bottom

or as PyTracking's users repacked it (x, y, w, h, one line a frame)::

    sequences/dog_1/00001.jpg ...   anno/nfs_dog_1.txt
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ltr.common.environment import get_path
from ltr.common.errors import DatasetError
from pytracking.evaluation.datasets.base import SequenceList, TrackingSequence, read_all
from pytracking.evaluation.datasets.files import (
    may_exist,
    pair_in_order,
    read_boxes,
    read_images,
    read_numbers,
    subfolders,
)

NFS_SIZE = 100
"""Sequences of the whole benchmark."""
NFS_ORIGIN = 0.0
"""Pixel coordinates of the annotation start at 0."""
LOOKED_FOR = (
    "expected dog_1/30/dog_1/00001.jpg, ... and dog_1/30/dog_1.txt, or sequences/dog_1/00001.jpg, ... and "
    "anno/nfs_dog_1.txt"
)


def read_nfs(root: str | os.PathLike | None) -> SequenceList:
    """The sequences of NFS under ``root``, in either layout."""
    root = get_path("nfs", root)
    sequences: dict[str, Callable[[], TrackingSequence]] = {}
    if (root / "sequences").is_dir():
        for folder in subfolders(root / "sequences"):
            names = (f"nfs_{folder.name}.txt", f"{folder.name}.txt")
            file = next((root / "anno" / name for name in names if may_exist(root / "anno" / name)), None)
            file = file or root / "anno" / names[0]
            sequences[f"nfs_{folder.name}"] = partial(_read_repacked, f"nfs_{folder.name}", folder, file)
    else:
        for folder in subfolders(root):
            if may_exist(folder / "30") or folder.is_symlink():
                sequences[f"nfs_{folder.name}"] = partial(_read_published, f"nfs_{folder.name}", folder / "30")
    return read_all("NFS", root, sequences, expected=NFS_SIZE, looked_for=LOOKED_FOR)


def _read_repacked(name: str, folder: Path, annotation: Path) -> TrackingSequence:
    images, boxes = read_images(folder, name), read_boxes(annotation)
    frames = pair_in_order(images, boxes)
    if frames is None:
        raise DatasetError(
            f"sequence {name}: {annotation} has {len(boxes)} lines, but {folder} has {len(images)} images; "
            "copy the sequence again"
        )
    return TrackingSequence(name, frames, boxes, "nfs", NFS_ORIGIN)


def _read_published(name: str, folder: Path) -> TrackingSequence:
    base = folder.parent.name
    annotation = folder / f"{base}.txt"
    corners = read_numbers(annotation, columns=slice(1, 5))
    images = read_images(folder / base, name)
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    frames = list(images.values())
    # The annotation is at 240 frames per second beside images at 30; a few sequences differ by one at the end.
    if abs(len(frames) - len(boxes)) > 1:
        boxes = boxes[::8]
    if abs(len(frames) - len(boxes)) > 1:
        raise DatasetError(
            f"sequence {name}: {annotation} has {len(corners)} lines, but {folder / base} has {len(images)} images, "
            "which is neither one line an image nor eight; copy the sequence again"
        )
    length = min(len(frames), len(boxes))
    return TrackingSequence(name, frames[:length], boxes[:length], "nfs", NFS_ORIGIN)
