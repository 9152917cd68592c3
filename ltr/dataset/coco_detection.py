"""COCO's images with all their objects, for detection; :mod:`ltr.dataset.coco` shows the layout on disk.

Any data set in that layout can be read. Labels are the category ids of the file (1 to 90 in COCO, with gaps), as in
torchvision's COCO models: 0 is the background.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from ltr.common.images import ImageReadError, read_image
from ltr.dataset.base import DatasetError
from ltr.dataset.coco import MIN_SIDE, find_coco, instances_form, read_instances

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class DetectionImages:
    """N images with their objects. It holds names and numbers only, so it is cheap to send to data loader workers.

    Attributes:
        name: for messages.
        annotations: COCO's annotation file; it may list images whose files are missing.
        folder: of the images.
        files: names of the images in that folder.
        ids: int64 (N,), COCO's image ids.
        sizes: int32 (N, 2), widths and heights in the annotation file.
        categories: label -> name.
        offsets: int64 (N + 1,); the objects of image i are rows offsets[i] to offsets[i + 1] of `all_boxes`.
        all_boxes: float32 (M, 4), xyxy in pixels, inside their images and at least a pixel wide and high.
        all_labels: int64 (M,), keys of `categories`.
        skipped: number of skipped items of each kind.
    """

    name: str
    annotations: Path
    folder: Path
    files: list[str]
    ids: np.ndarray
    sizes: np.ndarray
    categories: dict[int, str]
    offsets: np.ndarray
    all_boxes: np.ndarray
    all_labels: np.ndarray
    skipped: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.files)

    def image(self, i: int) -> np.ndarray:
        """Image i, uint8 (H, W, 3) RGB.

        Raises:
            ImageReadError: if the file is missing or damaged, or its size differs from the annotations.
        """
        path = self.folder / self.files[i]
        image = read_image(path)
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

    Boxes are clipped to their images. Images without a file are skipped with a warning. For the whole of COCO, reading
    the annotation file takes about ten seconds and, for a moment, 2 GB.

    Args:
        root: the folder of `annotations`.
        split: 'train' or 'val'.
        year: 2014 or 2017; None for the first that is present.

    Raises:
        DatasetError: if annotations or images are missing, or the annotations are damaged; the message names file and
            id.
    """
    path, folder = find_coco(root, split, year)
    data = read_instances(path)
    with instances_form(path):
        categories = _read_categories(path, data["categories"])
        files, ids, sizes = _read_images(path, data["images"])
        id_array = np.array(list(ids), np.int64)
        image_of, boxes, labels, crowds = _read_objects(path, data["annotations"], ids, categories)
    del data

    limits = sizes[image_of]
    low = np.clip(boxes[:, :2], 0, limits)
    high = np.clip(boxes[:, :2] + boxes[:, 2:], 0, limits)
    large = (high - low).min(1) >= MIN_SIDE - 1e-6  # (x + w) - x is not quite w
    present = _present(path, folder, files)

    keep = large & present[image_of]
    image_of = (np.cumsum(present) - 1)[image_of[keep]]  # indices among the images that are present
    order = np.argsort(image_of, kind="stable")
    count = np.bincount(image_of, minlength=present.sum())
    images = DetectionImages(
        name=f"{Path(root).absolute().name} {folder.name}",
        annotations=path,
        folder=folder,
        files=[file for file, there in zip(files, present, strict=True) if there],
        ids=id_array[present],
        sizes=sizes[present],
        categories=categories,
        offsets=np.concatenate([[0], np.cumsum(count)]),
        all_boxes=np.concatenate([low, high], axis=1)[keep][order].astype(np.float32),
        all_labels=labels[keep][order],
        skipped={
            "images without a file": int((~present).sum()),
            "crowds": crowds,
            "boxes under a pixel": int((~large).sum()),
        },
    )
    _report(images)
    return images


def _read_categories(path: Path, listed: Sequence[dict]) -> dict[int, str]:
    categories: dict[int, str] = {}
    for category in listed:
        label = category["id"]
        if not isinstance(label, int) or label < 1:
            raise DatasetError(f"{path} has a category with id {label!r}; ids must be whole numbers from 1 on")
        if label in categories:
            raise DatasetError(f"{path} has two categories with id {label}, {categories[label]} and {category['name']}")
        categories[label] = str(category["name"])
    return categories


def _read_images(path: Path, listed: Sequence[dict]) -> tuple[list[str], dict[int, int], np.ndarray]:
    """Names of the images, the index in that list of each id, and widths and heights, int32 (N, 2)."""
    files: list[str] = []
    ids: dict[int, int] = {}
    sizes: list[tuple[int, int]] = []
    for image in listed:
        number, file = image["id"], image["file_name"]
        if not isinstance(number, int):
            raise DatasetError(f"{path} has an image with id {number!r}; ids must be whole numbers")
        if number in ids:
            raise DatasetError(f"{path} has two images with id {number}, {files[ids[number]]} and {file}")
        parts = PurePosixPath(file).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise DatasetError(f"{path}, image {number}: the file name {file!r} leaves the folder of images")
        ids[number] = len(files)
        files.append(file)
        sizes.append((image["width"], image["height"]))
    if not files:
        raise DatasetError(f"{path} lists no image")
    return files, ids, np.array(sizes, np.int32)


def _read_objects(
    path: Path, listed: Sequence[dict], ids: dict[int, int], categories: dict[int, str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Image index, box (x, y, w, h) and label of each object that is no crowd, and the number of crowds."""
    image_of, boxes, labels, crowds = [], [], [], 0
    for annotation in listed:
        number = annotation["id"]
        if annotation["image_id"] not in ids:
            raise DatasetError(f"{path}, annotation {number}: there is no image {annotation['image_id']!r}")
        if annotation["category_id"] not in categories:
            raise DatasetError(f"{path}, annotation {number}: there is no category {annotation['category_id']!r}")
        try:
            x, y, w, h = map(float, annotation["bbox"])
        except (KeyError, OverflowError, TypeError, ValueError):
            x = y = w = h = math.nan
        if not all(map(math.isfinite, (x, y, w, h))):
            raise DatasetError(f"{path}, annotation {number}: its box is not four finite numbers x, y, w, h")
        if annotation.get("iscrowd", 0):  # after the checks: crowds are not for training, but they are scored
            crowds += 1
            continue
        boxes.append((x, y, w, h))
        image_of.append(ids[annotation["image_id"]])
        labels.append(annotation["category_id"])
    box_array = np.array(boxes, np.float64).reshape(-1, 4)
    return np.array(image_of, np.int64), box_array, np.array(labels, np.int64), crowds


def _present(path: Path, folder: Path, files: Sequence[str]) -> np.ndarray:
    """bool (N,): which of the files exist. It lists folders, because checking each of 118,000 files takes long."""
    split = [file.rpartition("/") for file in files]
    names = {parent: _listing(folder / parent) for parent in {parent for parent, _, _ in split}}
    present = np.array([name in names[parent] for parent, _, name in split])
    if not present.any():
        raise DatasetError(f"{folder} holds none of the {len(files)} images that {path} lists, such as {files[0]}")
    if not present.all():
        first = files[int(present.argmin())]
        missing = f"{(~present).sum()} of the {len(files)} images"
        logger.warning("%s lacks %s that %s lists, the first is %s; they are skipped", folder, missing, path, first)
    return present


def _listing(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except (FileNotFoundError, ValueError):  # ValueError: no folder can have such a name
        return set()
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error.strerror or error}") from error


def _report(images: DetectionImages) -> None:
    usable = len(images.usable())
    skipped = [f"{count} {what}" for what, count in images.skipped.items() if count]
    logger.info(
        "%s: %d images with %d objects of %d categories, %d images with none%s",
        images.name,
        usable,
        len(images.all_boxes),
        len(images.categories),
        len(images) - usable,
        f"; skipped: {', '.join(skipped)}" if skipped else "",
    )
