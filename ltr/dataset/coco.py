"""Objects of COCO (Lin et al., ECCV 2014), each a still sequence.

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
"""Pixels; COCO has boxes of less than that, which are no use to learn from."""


class COCO(VideoDataset):
    """Every annotated object of COCO that is not a crowd, as a still; the module's docstring shows the layout.

    The annotation file is read once, here; with the whole of COCO that takes some ten seconds and 2 GB for a moment.

    Args:
        root: the folder of `annotations`.
        split: 'train' or 'val'.
        year: 2014 (as ATOM was trained) or 2017; None for the first of them that is there.

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
        year: 2014 or 2017; None for the first of them that is there.

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
    """What an annotation file holds but for outlines; of its form only that it is JSON is checked.

    Raises:
        DatasetError: if it is missing, not readable or not JSON.
    """
    try:
        with open(path, "rb") as file:
            return json.load(file, object_hook=_without_outline)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error


def _without_outline(thing: dict) -> dict:
    """Dropped while the file is being read: outlines are most of it, and would take several GB."""
    thing.pop("segmentation", None)
    return thing


@contextmanager
def instances_form(path: Path) -> Iterator[None]:
    """Within it, whatever goes wrong with parts of an annotation file is a DatasetError that names the file."""
    try:
        yield
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is not a COCO instances file: {type(error).__name__} {error}") from error


def _read_boxes(path: Path) -> tuple[list[str], list[int], list[list[float]]]:
    """File names of the images, and of each usable object the number of its image in that list, and its box."""
    data = read_instances(path)
    files, number, image_of, boxes = [], {}, [], []
    with instances_form(path):
        for image in data["images"]:
            number[image["id"]] = len(files)
            files.append(image["file_name"])
        for annotation in data["annotations"]:
            if not annotation.get("iscrowd", 0) and min(annotation["bbox"][2:]) >= MIN_SIDE:
                x, y, w, h = (float(value) for value in annotation["bbox"])
                boxes.append([x, y, w, h])
                image_of.append(number[annotation["image_id"]])
    if not np.isfinite(boxes).all():
        raise DatasetError(f"{path} holds a box that is not finite")
    if not boxes:
        raise DatasetError(f"{path} holds no object")
    return files, image_of, boxes
