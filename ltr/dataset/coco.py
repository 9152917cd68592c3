"""Objects of COCO (Lin et al., ECCV 2014), each a sequence of one frame.

root/
    annotations/
        instances_train2014.json    or instances_train2017.json
    train2014/                      or train2017/; also found inside a folder images/
        COCO_train2014_000000000009.jpg
        ...
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ltr.dataset.base import DatasetError, SequenceInfo, VideoDataset, dataset_root

_SETTING = "coco"
_YEARS = (2014, 2017)

MIN_SIDE = 1.0
"""Pixels; COCO has smaller boxes, which are useless for training."""


class COCO(VideoDataset):
    """Every annotated object of COCO that is no crowd, as a still image; the module's docstring shows the layout.

    The constructor reads the annotation file; for the whole of COCO this takes about ten seconds and, for a moment,
    2 GB.

    Args:
        root: the folder of `annotations`.
        split: 'train' or 'val'.
        year: 2014 (ATOM's training data) or 2017; None for the first that is present.

    Raises:
        DatasetError: if annotations or images are missing, or the annotations are damaged.
    """

    def __init__(self, root: str | Path, split: str = "train", year: int | None = None):
        super().__init__(_SETTING)
        annotations, self.images = find_coco(root, split, year)
        self._files, image_of, boxes = _read_boxes(annotations)
        self._image_of = np.array(image_of, np.int32)
        self._boxes = np.array(boxes, np.float32)

    def __len__(self) -> int:
        return len(self._boxes)

    def _read_sequence(self, index: int) -> SequenceInfo:
        return SequenceInfo(self._boxes[index : index + 1], np.ones(1, bool), is_video=False)

    def _frame_path(self, index: int, frame: int) -> Path:
        return self.images / self._files[self._image_of[index]]


def find_coco(root: str | Path, split: str, year: int | None = None) -> tuple[Path, Path]:
    """The annotation file and the folder of images of a part of COCO.

    Args:
        root: the folder of `annotations`.
        split: 'train' or 'val'.
        year: 2014 or 2017; None for the first that is present.

    Raises:
        DatasetError: if one of them is missing.
    """
    if split not in ("train", "val") or year not in (*_YEARS, None):
        raise ValueError(f"split must be 'train' or 'val', year 2014 or 2017, not {split!r} and {year!r}")
    root = dataset_root(root, _SETTING, "COCO's annotations and images")
    annotations = {y: root / "annotations" / f"instances_{split}{y}.json" for y in (_YEARS if year is None else [year])}
    present = [y for y, file in annotations.items() if file.is_file()]
    if not present:
        files = " nor ".join(str(file) for file in annotations.values())
        raise DatasetError(f"there is no {files} (path '{_SETTING}')")
    part = f"{split}{present[0]}"
    folders = [root / part, root / "images" / part]
    images = next((folder for folder in folders if folder.is_dir()), None)
    if images is None:
        raise DatasetError(f"the images of {part} are in neither {folders[0]} nor {folders[1]} (path '{_SETTING}')")
    return annotations[present[0]], images


def read_instances(path: Path) -> dict:
    """The content of an annotation file without outlines. Only that it is JSON is checked.

    Raises:
        DatasetError: if it is missing, not readable or not JSON.
    """
    try:
        with open(path, "rb") as file:
            return json.load(file, object_hook=_without_outline)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error


def _without_outline(thing: dict) -> dict:
    """Drops outlines while the file is read: they are most of it, and would take several GB."""
    thing.pop("segmentation", None)
    return thing


@contextmanager
def instances_form(path: Path) -> Iterator[None]:
    """Turns errors about the form of an annotation file into a DatasetError that names the file."""
    try:
        yield
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is not a COCO instances file: {type(error).__name__} {error}") from error


def _read_boxes(path: Path) -> tuple[list[str], list[int], list[list[float]]]:
    """File names of the images, and for each usable object the index of its image in that list, and its box."""
    data = read_instances(path)
    files: list[str] = []
    index: dict[int, int] = {}
    image_of: list[int] = []
    boxes: list[list[float]] = []
    with instances_form(path):
        for image in data["images"]:
            index[image["id"]] = len(files)
            files.append(image["file_name"])
        for annotation in data["annotations"]:
            if not annotation.get("iscrowd", 0) and min(annotation["bbox"][2:]) >= MIN_SIDE:
                x, y, w, h = (float(value) for value in annotation["bbox"])
                boxes.append([x, y, w, h])
                image_of.append(index[annotation["image_id"]])
    if not np.isfinite(boxes).all():
        raise DatasetError(f"{path} holds a box that is not finite")
    if not boxes:
        raise DatasetError(f"{path} holds no object")
    return files, image_of, boxes
