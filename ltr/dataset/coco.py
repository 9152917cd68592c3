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

from ltr.dataset.base import DatasetError, SequenceInfo, VideoDataset
from ltr.dataset.coco_files import read_coco

logger = logging.getLogger(__name__)


class COCO(VideoDataset):
    """Every annotated object of COCO that is no crowd, as a still image; the module's docstring shows the layout.

    The constructor reads the annotation file; for the whole of COCO this takes about ten seconds and, for a moment,
    2 GB.

    Args:
        root: the folder of `annotations`.
        split: 'train' or 'val'.
        year: 2014 (ATOM's training data) or 2017; None for the first that is present.

    Raises:
        DatasetError: if annotations or images are missing, the annotations are damaged, or no object can be used.
    """

    def __init__(self, root: str | Path, split: str = "train", year: int | None = None):
        super().__init__("coco")
        data = read_coco(root, split, year)
        self.images = data.part.images
        if not len(data.boxes):
            raise DatasetError(f"{data.part.annotations} holds no object that can be used{data.skipped_text()}")
        self._files = data.files
        self._image_of = data.image_of.astype(np.int32)
        self._boxes = data.boxes.astype(np.float32)
        logger.info("%s: %d objects%s", data.part.annotations, len(self), data.skipped_text())

    def __len__(self) -> int:
        return len(self._boxes)

    def _read_sequence(self, index: int) -> SequenceInfo:
        return SequenceInfo(self._boxes[index : index + 1], np.ones(1, bool), is_video=False)

    def _frame_path(self, index: int, frame: int) -> Path:
        return self.images / self._files[self._image_of[index]]
