"""Objects of COCO (Lin et al., ECCV 2014), each a sequence of one frame.

root/
    annotations/
        instances_train2014.json    or instances_train2017.json
    train2014/                      or train2017/; also found inside a folder images/
        COCO_train2014_000000000009.jpg
        ...

:mod:`ltr.dataset.coco_files` lists the other layouts that are read: those of Roboflow, CVAT and Label Studio.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ltr.common.columns import name_columns
from ltr.common.images import ImageReadError
from ltr.common.orientation import image_forms
from ltr.dataset.base import DatasetError, SequenceInfo, VideoDataset
from ltr.dataset.coco_files import CocoPart, find_coco, read_coco, skipped_text
from ltr.dataset.remembered import Reading, remembered, spread

logger = logging.getLogger(__name__)


class COCO(VideoDataset):
    """Every annotated object of COCO that is no crowd, as a still image; the module's docstring shows the layout.

    The constructor reads the annotation file and the headers of the images; for the whole of COCO this takes about half
    a minute and, for a moment, 2 GB, and is remembered. Images are rotated by their EXIF orientation if their sizes in
    the annotation file are rotated; where the size does not decide, they are left out with a warning.

    Args:
        root: the folder of `annotations`.
        split: 'train' or 'val'.
        year: 2014 (ATOM's training data) or 2017; None for the first that is present.

    Raises:
        DatasetError: if annotations or images are missing, the annotations are damaged, or no object can be used.
    """

    def __init__(self, root: str | Path, split: str = "train", year: int | None = None):
        super().__init__("coco")
        part = find_coco(root, split, year)
        self.images = part.images
        self._columns = remembered("coco", part.options(root), Path(root), lambda: _read(part), part.annotations)
        skipped = skipped_text(self._columns.about["skipped"])
        logger.info("%s: %d objects%s", part.annotations, len(self), skipped)

    def __len__(self) -> int:
        return len(self._columns["boxes"])

    def _read_sequence(self, index: int) -> SequenceInfo:
        return SequenceInfo(self._columns["boxes"][index : index + 1], np.ones(1, bool), is_video=False)

    def _orientation(self, index: int, frame: int) -> int:
        return int(self._columns["orientations"][self._columns["image_of"][index]])

    def _frame_path(self, index: int, frame: int) -> Path:
        return self.images / self._columns.names("files")[self._columns["image_of"][index]]


def _read(part: CocoPart) -> Reading:
    data = read_coco(part)
    if not len(data.boxes):
        raise DatasetError(f"{part.annotations} holds no object that can be used{skipped_text(data.skipped)}")
    used = np.unique(data.image_of)
    sizes = [(int(width), int(height)) for width, height in data.sizes[used]]
    items = [(part.images / data.files[i], size, False) for i, size in zip(used, sizes, strict=True)]
    forms = image_forms(items, part.annotations)
    refused = [form for form in forms if isinstance(form, ImageReadError)]
    orientations = np.ones(len(data.files), np.uint8)
    for i, form in zip(used, forms, strict=True):
        orientations[i] = 0 if isinstance(form, ImageReadError) else form.orientation
    if len(refused) == len(forms):
        raise DatasetError(f"none of the {len(forms)} images with an object can be used; the first: {refused[0]}")
    if refused:
        logger.warning("%d of %d images are left out; the first: %s", len(refused), len(forms), refused[0])
    keep = orientations[data.image_of] > 0
    arrays = {
        **name_columns("files", data.files),
        "orientations": orientations,
        "image_of": data.image_of[keep].astype(np.int32),
        "boxes": data.boxes[keep].astype(np.float32),
    }
    watched = [*data.folders, *spread([file for file, _, _ in items])]
    return Reading(arrays, watched, {"skipped": data.skipped})
