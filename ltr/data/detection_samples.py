"""Samples of a detector: images at their own sizes, with all their objects.

Everything random about sample k comes from a generator seeded by (seed, k). The data set is a pure function of k: any
number of workers sees the same samples, and training resumes exactly from a sample number.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ltr.common.errors import UserError
from ltr.common.images import ImageReadError
from ltr.dataset.base import DatasetError
from ltr.dataset.coco_detection import DetectionImages

logger = logging.getLogger(__name__)

_MAX_FAILURES = 100


class DetectionSamples(Dataset):
    """Sample k is {"image": uint8 (3, H, W) RGB, "boxes": float32 (n, 4) xyxy in pixels, "labels": int64 (n,),
    "image_id": int}, with n >= 1.

    In training, sample k is image k modulo N of a random order of the N images that have an object, which changes after
    every N samples; it is mirrored at random. In evaluation, sample k is image k modulo N, unchanged.

    If an image cannot be read or used, the sample is the next image that can, and a warning names the first one once.

    Args:
        images: from which samples are drawn.
        length: number of samples, in training any, since k seeds everything.
        seed: of all samples; evaluation does not use it.
        train: whether to shuffle and mirror.
        flip: probability that an image is mirrored, left to right.
        max_ratio: an image whose longer side is at least this many times the shorter one is not used: a detector that
            scales images to a length of max_size would leave it no width.

    Raises:
        DatasetError: if no image has an object.
        ValueError: if another argument is out of range.
    """

    def __init__(
        self,
        images: DetectionImages,
        length: int,
        seed: int,
        train: bool,
        flip: float = 0.5,
        max_ratio: float = math.inf,
    ):
        if length < 0 or not 0 <= flip <= 1:
            raise ValueError(f"no {length} samples can be made, mirrored with probability {flip}")
        self.images = images
        self.length = length
        self.seed = seed
        self.train = train
        self.flip = flip
        self.max_ratio = max_ratio
        self._usable = images.usable()
        if not len(self._usable):
            raise DatasetError(f"{images.annotations} has no object that can be learnt from in any image")
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))  # the last epoch and its order
        self._reported = torch.zeros(len(images), dtype=torch.bool).share_memory_()  # by any of the workers

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> dict[str, Tensor | int]:
        """Sample k.

        Raises:
            UserError: if 100 images in a row cannot be used.
        """
        if not 0 <= k < self.length:
            raise IndexError(f"there are {self.length} samples, there is no sample {k}")
        index, image = self._first_usable(k)
        boxes = torch.tensor(self.images.boxes(index))
        if self.train and np.random.default_rng([self.seed, k]).random() < self.flip:
            image = cv2.flip(image, 1)
            boxes[:, [0, 2]] = image.shape[1] - boxes[:, [2, 0]]
        planes = np.empty((3, *image.shape[:2]), np.uint8)
        cv2.split(image, list(planes))
        return {
            "image": torch.from_numpy(planes),
            "boxes": boxes,
            "labels": torch.tensor(self.images.labels(index)),
            "image_id": int(self.images.ids[index]),
        }

    def _first_usable(self, k: int) -> tuple[int, np.ndarray]:
        """Sample k's image and its number, or the next image that can be used and its number."""
        for candidate in range(k, k + _MAX_FAILURES):
            index = self._index(candidate)
            try:
                return index, self._image(index)
            except ImageReadError as error:
                failure = error
            if not self._reported[index]:
                self._reported[index] = True
                logger.warning("%s; another image is taken in its place", failure)
        raise UserError(f"{_MAX_FAILURES} images of {self.images.name} in a row cannot be used; the last: {failure}")

    def _image(self, index: int) -> np.ndarray:
        width, height = (int(side) for side in self.images.sizes[index])
        if max(width, height) >= self.max_ratio * min(width, height):
            path = self.images.folder / self.images.files[index]
            raise ImageReadError(f"image {path} of {width} x {height} pixels is too narrow for the detector")
        return self.images.image(index)

    def _index(self, k: int) -> int:
        epoch, position = divmod(k, len(self._usable))
        return int(self._usable[self._epoch_order(epoch)[position] if self.train else position])

    def _epoch_order(self, epoch: int) -> np.ndarray:
        if self._order[0] != epoch:
            # the 1 keeps this stream apart from that of sample k = epoch
            order = np.random.default_rng([self.seed, epoch, 1]).permutation(len(self._usable))
            self._order = (epoch, order)
        return self._order[1]


def collate_detection(samples: Sequence[dict[str, Tensor | int]]) -> dict[str, list]:
    """A batch, {"images": [uint8 (3, H, W)], "targets": [{"boxes": float32 (n, 4) xyxy, "labels": int64 (n,)}]}.

    Both are lists, since images of several sizes do not stack.
    """
    return {
        "images": [sample["image"] for sample in samples],
        "targets": [{key: sample[key] for key in ("boxes", "labels")} for sample in samples],
    }
