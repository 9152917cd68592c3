"""COCO's images with all their objects, for detection; :mod:`ltr.dataset.coco_files` shows the layouts on disk.

Labels are the category ids of the file (1 to 90 in COCO, with gaps), as in torchvision's COCO models: 0 is the
background. Some tools give a category the id 0. Labels of such a file are its ids plus 1, also if no object has id 0,
so that all splits of a data set have the same labels.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ltr.common.columns import Columns, Names, name_columns
from ltr.common.images import ImageReadError, read_image
from ltr.common.orientation import image_form
from ltr.dataset.coco_files import CocoPart, find_coco, read_coco, skipped_text
from ltr.dataset.remembered import Reading, remembered

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class DetectionImages:
    """N images with their objects. It holds names and numbers only, so it is cheap to send to data loader workers.

    Args:
        name: for messages.
        annotations: COCO's annotation file; it may list images whose files are missing.
        folder: of the images.
        columns: files, ids, sizes, offsets, boxes and labels, see the properties. Mapped from a file they are read-only
            and shared by loader workers.
        categories: label -> name.
        skipped: number of skipped items of each kind.
        label_offset: label minus category id: 1 if the file has a category 0, otherwise 0.
    """

    name: str
    annotations: Path
    folder: Path
    columns: Columns
    categories: dict[int, str]
    skipped: dict[str, int] = field(default_factory=dict)
    label_offset: int = 0

    @property
    def files(self) -> Names:
        """Names of the images in their folder."""
        return self.columns.names("files")

    @property
    def ids(self) -> np.ndarray:
        """int64 (N,), COCO's image ids."""
        return self.columns["ids"]

    @property
    def sizes(self) -> np.ndarray:
        """int32 (N, 2), widths and heights in the annotation file."""
        return self.columns["sizes"]

    @property
    def offsets(self) -> np.ndarray:
        """int64 (N + 1,); the objects of image i are rows offsets[i] to offsets[i + 1] of :attr:`all_boxes`."""
        return self.columns["offsets"]

    @property
    def all_boxes(self) -> np.ndarray:
        """float32 (M, 4), xyxy in pixels, inside their images and at least a pixel wide and high."""
        return self.columns["boxes"]

    @property
    def all_labels(self) -> np.ndarray:
        """int64 (M,), keys of `categories`."""
        return self.columns["labels"]

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, i: int) -> np.ndarray:
        """Image i, uint8 (H, W, 3) RGB, rotated by its EXIF orientation if its size in the annotations is rotated.

        Raises:
            ImageReadError: if the file is missing or damaged, its size differs from the annotations, or it has an EXIF
                orientation of which the size does not say whether it applies.
        """
        path = self.folder / self.files[i]
        size = (int(self.sizes[i][0]), int(self.sizes[i][1]))
        image = read_image(path, orientation=image_form(path, size, self.annotations).orientation)
        height, width = image.shape[:2]
        if (width, height) != tuple(self.sizes[i]):
            raise ImageReadError(
                f"image {path} has {width} x {height} pixels, but {self.annotations} says "
                f"{self.sizes[i][0]} x {self.sizes[i][1]}: its boxes belong to another image"
            )
        return image

    def boxes(self, i: int) -> np.ndarray:
        """The usable objects of image i, float32 (n, 4), xyxy in pixels. Do not write into this shared array."""
        return self.all_boxes[self.offsets[i] : self.offsets[i + 1]]

    def labels(self, i: int) -> np.ndarray:
        """Their labels, int64 (n,). Do not write into this shared array."""
        return self.all_labels[self.offsets[i] : self.offsets[i + 1]]

    def usable(self) -> np.ndarray:
        """Indices (int64) of the images with a usable object."""
        return np.flatnonzero(np.diff(self.offsets))

    def __repr__(self) -> str:
        return f"DetectionImages({self.name!r}, {len(self)} images, {len(self.all_boxes)} objects)"


def read_coco_detection(root: str | Path, split: str = "train", year: int | None = None) -> DetectionImages:
    """Reads the images of a part of COCO with all their objects, except crowds and boxes of less than a pixel.

    Boxes are clipped to their images; a box is dropped if less than half of it lies inside. Images without a file and
    annotations that cannot be used are skipped with a warning. For the whole of COCO, reading the annotation file takes
    about ten seconds and, for a moment, 2 GB; what it finds is remembered.

    Args:
        root: the folder of `annotations`, or of another layout of :mod:`ltr.dataset.coco_files`.
        split: 'train' or 'val'.
        year: 2014 or 2017; None for the first that is present.

    Raises:
        DatasetError: if annotations or images are missing, the annotations are damaged, or the boxes are in another
            form; the message names file and id.
    """
    part = find_coco(root, split, year)
    columns = remembered("coco_detection", part.options(root), Path(root), lambda: _read(part), part.annotations)
    label_offset = int(columns.about["label_offset"])
    images = DetectionImages(
        name=f"{Path(root).absolute().name} {part.images.name}",
        annotations=part.annotations,
        folder=part.images,
        columns=columns,
        categories={int(number) + label_offset: name for number, name in columns.about["categories"]},
        skipped=columns.about["skipped"],
        label_offset=label_offset,
    )
    _report(images)
    return images


def _read(part: CocoPart) -> Reading:
    data = read_coco(part, detection=True)
    label_offset = int(0 in data.categories)
    limits = data.sizes[data.image_of]
    low = np.clip(data.boxes[:, :2], 0, limits)
    high = np.clip(data.boxes[:, :2] + data.boxes[:, 2:], 0, limits)
    order = np.argsort(data.image_of, kind="stable")
    count = np.bincount(data.image_of, minlength=len(data.files))
    arrays = {
        **name_columns("files", data.files),
        "ids": data.ids,
        "sizes": data.sizes,
        "offsets": np.concatenate([[0], np.cumsum(count)]),
        "boxes": np.concatenate([low, high], axis=1)[order].astype(np.float32),
        "labels": data.category_ids[order] + label_offset,
    }
    about = {"categories": list(data.categories.items()), "skipped": data.skipped, "label_offset": label_offset}
    return Reading(arrays, data.folders, about)


def _report(images: DetectionImages) -> None:
    usable = len(images.usable())
    logger.info(
        "%s: %d images with %d objects of %d categories, %d images with none%s",
        images.name,
        usable,
        len(images.all_boxes),
        len(images.categories),
        len(images) - usable,
        skipped_text(images.skipped),
    )
