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
from pathlib import Path

import numpy as np

from ltr.dataset.base import DatasetError, SequenceInfo, VideoDataset, dataset_root

_SETTING = "coco"
_YEARS = (2014, 2017)
_MIN_SIDE = 1.0  # COCO has boxes of less than a pixel


class COCO(VideoDataset):
    """Every annotated object of COCO that is not a crowd, as a still; the module's docstring shows the layout.

    The annotation file is read once, here; with the whole of COCO that takes some ten seconds and 2 GB for a moment.

    Args:
        root: the folder of `annotations`.
        split: 'train' or 'val'.
        year: 2014 (as ATOM was trained) or 2017; None for the first of them that is there.

    Raises:
        DatasetError: annotations or images are missing, or the annotations are damaged.
    """

    def __init__(self, root: str | Path, split: str = "train", year: int | None = None):
        super().__init__(_SETTING)
        if split not in ("train", "val") or year not in (*_YEARS, None):
            raise ValueError(f"split must be 'train' or 'val', year 2014 or 2017, not {split!r} and {year!r}")
        root = dataset_root(root, _SETTING, "COCO's annotations and images")
        annotations = {
            y: root / "annotations" / f"instances_{split}{y}.json" for y in (_YEARS if year is None else [year])
        }
        present = [y for y, file in annotations.items() if file.is_file()]
        if not present:
            files = " nor ".join(str(file) for file in annotations.values())
            raise DatasetError(f"there is no {files} (path '{_SETTING}')")
        year = present[0]
        part = f"{split}{year}"
        folders = [root / part, root / "images" / part]
        self.images = next((folder for folder in folders if folder.is_dir()), None)
        if self.images is None:
            raise DatasetError(f"the images of {part} are in neither {folders[0]} nor {folders[1]} (path '{_SETTING}')")

        self._files, image_of, boxes = _read_instances(annotations[year])
        self._image_of = np.array(image_of, np.int32)
        self._boxes = np.array(boxes, np.float32)

    def __len__(self) -> int:
        return len(self._boxes)

    def _read_sequence(self, index: int) -> SequenceInfo:
        return SequenceInfo(self._boxes[index : index + 1], np.ones(1, bool), is_video=False)

    def _frame_path(self, index: int, frame: int) -> Path:
        return self.images / self._files[self._image_of[index]]


def _read_instances(path: Path) -> tuple[list[str], list[int], list[list[float]]]:
    """File names of the images, and of each usable object the number of its image in that list, and its box."""
    try:
        with open(path, "rb") as file:
            data = json.load(file)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    files, number, image_of, boxes = [], {}, [], []
    try:
        for image in data["images"]:
            number[image["id"]] = len(files)
            files.append(image["file_name"])
        for annotation in data["annotations"]:
            if not annotation.get("iscrowd", 0) and min(annotation["bbox"][2:]) >= _MIN_SIDE:
                x, y, w, h = (float(value) for value in annotation["bbox"])
                boxes.append([x, y, w, h])
                image_of.append(number[annotation["image_id"]])
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is not a COCO instances file: {type(error).__name__} {error}") from error
    if not np.isfinite(boxes).all():
        raise DatasetError(f"{path} holds a box that is not finite")
    if not boxes:
        raise DatasetError(f"{path} holds no object")
    return files, image_of, boxes
