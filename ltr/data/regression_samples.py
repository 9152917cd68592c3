"""Samples of one size from labelled images: age and head-pose networks are trained and evaluated on them.

Everything random about sample k comes from a generator seeded by (seed, k). The data set is a pure function of k: any
number of workers sees the same samples, and training resumes exactly from a sample number.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ltr.dataset.labelled import LabelledImages


@dataclass
class AugmentSettings:
    """Size and augmentation of samples (Appendices E and F of the paper)."""

    size: int = 64
    """S: samples are S x S pixels (200 for age, 64 for head pose)."""
    flip: float = 0.5
    """Probability that an image is mirrored, left to right."""
    scale: tuple[float, float] = (0.7, 1.4)
    """An image is scaled to S times a factor uniform in this range, then cropped at random or padded to S."""


class RegressionSamples(Dataset):
    """Sample k is {"x": uint8 (3, S, S) RGB, "label": float32 (D,)}.

    In training, sample k is image k modulo N of a random order of the N images, which changes after every N samples. It
    is mirrored at random (its label then has the mirror image's signs) and stretched to a square of S times a random
    factor, from which a random S x S part is cut. A square smaller than S lies at a random position on black. In
    evaluation, sample k is image k modulo N, stretched to S x S.

    Args:
        images: the N images.
        settings: size and augmentation.
        length: number of samples, in training any, since k seeds everything; N if None.
        seed: of all samples; evaluation does not use it.
        train: whether to shuffle and augment.

    Raises:
        ValueError: if the settings are out of range.
    """

    def __init__(
        self,
        images: LabelledImages,
        settings: AugmentSettings,
        length: int | None = None,
        seed: int = 0,
        train: bool = True,
    ):
        low, high = settings.scale
        if settings.size < 1 or not 0 < low <= high or not 0 <= settings.flip <= 1:
            raise ValueError(f"no samples can be made by {settings}")
        self.images = images
        self.settings = settings
        self.length = len(images) if length is None else length
        self.seed = seed
        self.train = train
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))  # the last epoch and its order

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        if not 0 <= k < self.length:
            raise IndexError(f"there are {self.length} samples, there is no sample {k}")
        s = self.settings
        epoch, position = divmod(k, len(self.images))
        index = int(self._epoch_order(epoch)[position]) if self.train else position
        image = self.images.image(index)
        label = self.images.labels[index].copy()
        if self.train:
            rng = np.random.default_rng([self.seed, k])
            mirrored, factor, corner = rng.random() < s.flip, rng.uniform(*s.scale), rng.random(2)
            image = _resized(image, max(1, round(s.size * factor)))
            image = _window(image, s.size, corner)
            if mirrored:
                image = cv2.flip(image, 1)
                label *= self.images.mirror_signs
        else:
            image = _resized(image, s.size)
        planes = np.empty((3, s.size, s.size), np.uint8)
        cv2.split(image, list(planes))
        return {"x": torch.from_numpy(planes), "label": torch.from_numpy(label.astype(np.float32))}

    def _epoch_order(self, epoch: int) -> np.ndarray:
        if self._order[0] != epoch:
            # the 1 keeps this stream apart from that of sample k = epoch
            order = np.random.default_rng([self.seed, epoch, 1]).permutation(len(self.images))
            self._order = (epoch, order)
        return self._order[1]


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    """An image (H, W, 3) stretched to (side, side, 3)."""
    if image.shape[:2] == (side, side):
        return image
    shrinks = side < min(image.shape[:2])
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _window(image: np.ndarray, size: int, corner: np.ndarray) -> np.ndarray:
    """A (size, size, 3) part of a square image, or a smaller image on black; its corner is x, y in [0, 1)."""
    side = len(image)
    x, y = (int(p * (abs(side - size) + 1)) for p in corner)
    if side >= size:
        return image[y : y + size, x : x + size]
    canvas = np.zeros((size, size, 3), np.uint8)
    canvas[y : y + side, x : x + side] = image
    return canvas
