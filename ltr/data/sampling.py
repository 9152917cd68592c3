"""Training pairs for box regression: a reference crop with the target's box and a test crop to find it in.

Everything random about pair k is drawn from a generator seeded by (seed, k). The data set is a pure function of k: any
number of workers and processes sees the same pairs, and training resumes exactly from a number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ebm_common.errors import UserError
from ltr.data.crops import Crop
from ltr.dataset.base import VideoDataset

PATCH = 288
"""Side of a crop in pixels: 18 cells of stride 16 (PyTracking: feature_sz 18)."""


@dataclass
class CropSettings:
    """Crops and augmentation. Defaults are ATOM's (bbreg/atom in PyTracking); the rest is off."""

    search_area_factor: float = 5.0
    """Side of the crop over the square root of the box's area."""
    test_center_jitter: float = 4.5
    """Offset of the test crop, uniform within +-half of this many target sizes."""
    test_scale_jitter: float = 0.5
    """Standard deviation of the log of the test crop's scale."""
    grayscale: float = 0.05
    """Probability that both images lose their colour."""
    brightness: float = 0.2
    """Brightness factor of each image, uniform within 1 +- this."""
    flip: float = 0.0
    """Probability that both images are mirrored. (Not in ATOM: for small data.)"""
    contrast: float = 0.0
    """Contrast and saturation factor of each image, uniform within 1 +- this. (Not in ATOM: for small data.)"""
    blur: float = 0.0
    """Probability that the test image is blurred. (Not in ATOM: for small data.)"""
    stretch: float = 0.0
    """Standard deviation of the log aspect ratio that the test image is stretched by. (Not in ATOM: for stills, whose
    two crops would otherwise show the same shape.)"""


class BoxPairs(Dataset):
    """Pairs of crops: item k is {"reference_image", "reference_box", "test_image", "test_box"}.

    Images are uint8 (3, 288, 288) RGB; boxes float32 (4,) as x, y, w, h in pixels of their crop.

    Args:
        datasets: what to draw from.
        proportions: how often to draw from each, relative to the others.
        length: number of pairs; they need not repeat, since k seeds everything.
        max_gap: most frames between reference and test image of a video (ATOM: 50; PyTracking's EBM and ATOM*: 200).
        seed: of all pairs.

    Raises:
        ValueError: no data sets, or proportions that do not fit them.
    """

    def __init__(
        self,
        datasets: Sequence[VideoDataset],
        proportions: Sequence[float],
        length: int,
        max_gap: int = 50,
        crop: CropSettings | None = None,
        seed: int = 0,
    ):
        if len(datasets) != len(proportions) or not datasets:
            raise ValueError(f"{len(datasets)} data sets with {len(proportions)} proportions")
        if not np.isfinite(proportions).all() or min(proportions) < 0 or sum(proportions) == 0:
            raise ValueError(f"proportions must be numbers >= 0 and not all of them 0, got {tuple(proportions)}")
        self.datasets = list(datasets)
        self.proportions = np.asarray(proportions, dtype=np.float64) / np.sum(proportions)
        self.cumulative = [np.cumsum(d.weights) / np.sum(d.weights) for d in self.datasets]
        self.length = length
        self.max_gap = max_gap
        self.crop = crop or CropSettings()
        self.seed = seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, k])
        (reference, reference_box), (test, test_box) = self._draw_pair(rng)
        c = self.crop

        if rng.random() < c.grayscale:
            reference, test = _gray(reference), _gray(test)
        if rng.random() < c.flip:
            (reference, reference_box), (test, test_box) = _flip(reference, reference_box), _flip(test, test_box)
        if c.stretch:
            test, test_box = _stretch(test, test_box, float(np.exp(0.5 * c.stretch * rng.standard_normal())))

        patches, boxes = [], []
        for image, box, jitter, scale in (
            (reference, reference_box, 0.0, 0.0),
            (test, test_box, c.test_center_jitter, c.test_scale_jitter),
        ):
            size = box[2:] * np.exp(scale * rng.standard_normal(2))
            side = float(np.sqrt(size.prod()))
            center = box[:2] + box[2:] / 2 + side * jitter * rng.uniform(-0.5, 0.5, 2)
            region = Crop.around(tuple(center), side * c.search_area_factor, PATCH)
            patches.append(_photometric(region.extract(image), rng, c))
            boxes.append(region.to_patch(box).astype(np.float32))
        if rng.random() < c.blur:
            patches[1] = cv2.GaussianBlur(patches[1], (0, 0), rng.uniform(0.5, 2.0))
        images = [torch.from_numpy(np.ascontiguousarray(p.transpose(2, 0, 1))) for p in patches]
        return {
            "reference_image": images[0],
            "reference_box": torch.from_numpy(boxes[0]),
            "test_image": images[1],
            "test_box": torch.from_numpy(boxes[1]),
        }

    def _draw_pair(self, rng: np.random.Generator) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        for _ in range(1000):
            which = int(rng.choice(len(self.datasets), p=self.proportions))
            data = self.datasets[which]
            index = min(int(np.searchsorted(self.cumulative[which], rng.random(), side="right")), len(data) - 1)
            info = data.sequence(index)
            visible = np.flatnonzero(info.visible)
            if not info.is_video:
                if not len(visible):
                    continue
                image = data.frames(index, [0])[0]
                return (image, info.boxes[0].astype(np.float64)), (image, info.boxes[0].astype(np.float64))
            if len(visible) < 2:
                continue
            first = int(rng.choice(visible))
            gap = self.max_gap
            near = visible[:0]
            while not len(near):  # some other visible frame exists, so this ends
                near = visible[(np.abs(visible - first) <= gap) & (visible != first)]
                gap += 5
            second = int(rng.choice(near))
            images = data.frames(index, [first, second])
            return (images[0], info.boxes[first].astype(np.float64)), (images[1], info.boxes[second].astype(np.float64))
        names = ", ".join(d.name for d in self.datasets)
        raise UserError(f"no visible target was found in 1000 sequences drawn from {names}; are its annotations empty?")


def _gray(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _flip(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(image[:, ::-1]), np.array([image.shape[1] - box[0] - box[2], *box[1:]])


def _stretch(image: np.ndarray, box: np.ndarray, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """The image `ratio` times wider and as many times lower, with its box."""
    height, width = image.shape[:2]
    new = max(round(width * ratio), 8), max(round(height / ratio), 8)
    factor = np.array([new[0] / width, new[1] / height])
    return cv2.resize(image, new, interpolation=cv2.INTER_LINEAR), box * np.tile(factor, 2)


def _photometric(patch: np.ndarray, rng: np.random.Generator, c: CropSettings) -> np.ndarray:
    gain = rng.uniform(1 - c.brightness, 1 + c.brightness)
    if not c.contrast:
        return cv2.convertScaleAbs(patch, alpha=gain)
    contrast, saturation = rng.uniform(1 - c.contrast, 1 + c.contrast, 2)
    # One linear map of colour: saturation about each pixel's grey, contrast about the patch's mean, and the gain.
    grey = np.full((3, 3), 1 / 3) * (1 - saturation) + np.eye(3) * saturation
    offset = patch.mean() * (1 - contrast) * gain
    matrix = np.concatenate([grey * contrast * gain, np.full((3, 1), offset)], axis=1)
    return cv2.transform(patch, matrix)
