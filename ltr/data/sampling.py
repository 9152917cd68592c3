"""Training pairs for box regression: a reference crop with the target's box and a test crop to find it in.

Everything random about pair k comes from a generator seeded by (seed, k). The data set is a pure function of k: any
number of workers and processes sees the same pairs, and training resumes exactly from a sample number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ltr.common.errors import UserError
from ltr.common.images import REDUCTIONS
from ltr.data.crops import Crop
from ltr.dataset.base import Part, VideoDataset

PATCH = 288
"""Side of a crop in pixels: 18 cells of stride 16 (PyTracking: feature_sz 18)."""

PIXELS_VERSION = 4
"""Raised whenever the pixels of a pair change for the same settings and seed, so that older cached features are not
used."""


_LEAST_PART = 12.0  # pixels: smaller parts show too little to be recognised


@dataclass
class CropSettings:
    """Crops and augmentation. The defaults are ATOM's (bbreg/atom in PyTracking); other augmentation is off."""

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
    parts: float = 0.0
    """Probability that the target of a still image is a part of its box, of 35 to 85% of each side. It teaches that the
    first box defines the target: boxes must not grow to the whole object. (Not in ATOM.)"""
    stretch: float = 0.0
    """Standard deviation of the log aspect ratio by which the test image is stretched. (Not in ATOM: for still images,
    whose two crops would otherwise show the same shape.)"""


@dataclass(frozen=True)
class _View:
    """Crop and augmentation of one image of a pair, drawn before the image is read.

    Attributes:
        crop: in the coordinates of the stretched image, before it is mirrored.
        stretch: factors (x, y) by which the image is stretched.
        box: the target, (4,) in the crop's coordinates.
        mirrored: whether left and right are swapped.
        grey: whether the image loses its colour.
        gain, contrast, saturation: factors of the colours; 1 leaves them.
        blur: standard deviation in pixels of the patch; 0 for none.
    """

    crop: Crop
    stretch: tuple[float, float]
    box: np.ndarray
    mirrored: bool
    grey: bool
    gain: float
    contrast: float
    saturation: float
    blur: float = 0.0

    @property
    def reduction(self) -> int:
        """How many times smaller the image may be read: each patch pixel still covers at least one of its pixels."""
        return max(k for k in REDUCTIONS if k <= max(self.crop.scale / max(self.stretch), 1))

    @property
    def part(self) -> Part:
        """The pixels of the image that the patch depends on, some more of it, in whole blocks of any reduction."""
        corner = np.array([self.crop.x, self.crop.y]) / self.stretch
        size = self.crop.size / np.array(self.stretch)
        margin = 4 * np.maximum(size / PATCH, 1)
        block = max(REDUCTIONS)
        left, top = (np.floor((corner - margin) / block).astype(int) * block).tolist()
        right, bottom = (np.ceil((corner + size + margin) / block).astype(int) * block).tolist()
        return left, top, right, bottom

    def patch(self, image: np.ndarray, reduction: int) -> Tensor:
        """The patch, uint8 (3, 288, 288), of an image read `reduction` times smaller."""
        patch = self.crop.extract(image, (self.stretch[0] * reduction, self.stretch[1] * reduction))
        if self.grey:
            patch = cv2.cvtColor(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        patch = self._coloured(patch)
        if self.blur:
            patch = cv2.GaussianBlur(patch, (0, 0), self.blur)
        if self.mirrored:
            patch = cv2.flip(patch, 1)
        planes = np.empty((3, PATCH, PATCH), np.uint8)
        cv2.split(patch, list(planes))
        return torch.from_numpy(planes)

    def patch_box(self) -> Tensor:
        """The target's box in the patch, float32 (4,)."""
        x, y, w, h = self.crop.to_patch(self.box)
        return torch.tensor([PATCH - x - w if self.mirrored else x, y, w, h], dtype=torch.float32)

    def _coloured(self, patch: np.ndarray) -> np.ndarray:
        if self.contrast == self.saturation == 1:
            return cv2.convertScaleAbs(patch, alpha=self.gain)
        # One linear map of colour: saturation about each pixel's grey, contrast about the patch's mean, and the gain.
        colour = np.full((3, 3), 1 / 3) * (1 - self.saturation) + np.eye(3) * self.saturation
        mean = np.mean(cv2.mean(patch)[:3])
        offset = mean * (1 - self.contrast) * self.gain
        matrix = np.concatenate([colour * self.contrast * self.gain, np.full((3, 1), offset)], axis=1)
        return cv2.transform(patch, matrix)


class BoxPairs(Dataset):
    """Pairs of crops: item k is {"reference_image", "reference_box", "test_image", "test_box"}.

    Images are uint8 (3, 288, 288) RGB; boxes float32 (4,) as x, y, w, h in pixels of their crop.

    Args:
        datasets: the data sets that pairs come from.
        proportions: how often to draw from each, relative to the others.
        length: number of pairs; it may be any, since k seeds everything.
        max_gap: most frames between reference and test image of a video (ATOM: 50; PyTracking's EBM and ATOM*: 200).
        seed: of all pairs.

    Raises:
        ValueError: if there are no data sets, or the proportions do not fit them.
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
        data, index, ids, boxes = self._draw_pair(rng)
        views = self._draw_views(rng, boxes)

        wanted = [view.reduction for view in views]
        if ids[0] == ids[1]:  # a still image is read once, at the larger of the two sizes
            wanted = [min(wanted)] * 2
            images = data.frames(index, ids[:1], wanted[:1]) * 2
        else:
            images = data.frames(index, ids, wanted, [view.part for view in views])
        patches = [view.patch(image, k) for view, image, k in zip(views, images, wanted, strict=True)]
        return {
            "reference_image": patches[0],
            "reference_box": views[0].patch_box(),
            "test_image": patches[1],
            "test_box": views[1].patch_box(),
        }

    def _draw_pair(self, rng: np.random.Generator) -> tuple[VideoDataset, int, list[int], np.ndarray]:
        """A data set, a sequence of it, two frames (the same for a still image) and their boxes, float64 (2, 4)."""
        for _ in range(1000):
            which = int(rng.choice(len(self.datasets), p=self.proportions))
            data = self.datasets[which]
            index = min(int(np.searchsorted(self.cumulative[which], rng.random(), side="right")), len(data) - 1)
            info = data.sequence(index)
            visible = np.flatnonzero(info.visible)
            if len(visible) < 1 + info.is_video:
                continue
            ids = [0, 0]
            if info.is_video:
                ids[0] = int(rng.choice(visible))
                gap = self.max_gap
                near = visible[:0]
                while not len(near):  # ends, since another visible frame exists
                    near = visible[(np.abs(visible - ids[0]) <= gap) & (visible != ids[0])]
                    gap += 5
                ids[1] = int(rng.choice(near))
            boxes = info.boxes[ids].astype(np.float64)
            if not info.is_video and self.crop.parts and rng.random() < self.crop.parts:
                boxes = np.tile(_part(boxes[0], rng), (2, 1))
            return data, index, ids, boxes
        names = ", ".join(d.name for d in self.datasets)
        raise UserError(f"no visible target was found in 1000 sequences drawn from {names}; are its annotations empty?")

    def _draw_views(self, rng: np.random.Generator, boxes: np.ndarray) -> list[_View]:
        """The views of reference and test image. The order of the draws decides what pair k is: do not change it."""
        c = self.crop
        grey, mirrored = rng.random() < c.grayscale, rng.random() < c.flip
        ratio = float(np.exp(0.5 * c.stretch * rng.standard_normal())) if c.stretch else 1.0
        views = []
        for box, stretch, jitter, scale in (
            (boxes[0], (1.0, 1.0), 0.0, 0.0),
            (boxes[1], (ratio, 1 / ratio), c.test_center_jitter, c.test_scale_jitter),
        ):
            box = box * np.tile(stretch, 2)
            size = box[2:] * np.exp(scale * rng.standard_normal(2))
            side = float(np.sqrt(size.prod()))
            offset = side * jitter * rng.uniform(-0.5, 0.5, 2)
            if mirrored:  # the offset is drawn in the mirrored image
                offset[0] = -offset[0]
            crop = Crop.around(tuple(box[:2] + box[2:] / 2 + offset), side * c.search_area_factor, PATCH)
            gain = rng.uniform(1 - c.brightness, 1 + c.brightness)
            contrast, saturation = rng.uniform(1 - c.contrast, 1 + c.contrast, 2) if c.contrast else (1.0, 1.0)
            views.append(_View(crop, stretch, box, mirrored, grey, gain, contrast, saturation))
        if rng.random() < c.blur:
            views[1] = replace(views[1], blur=rng.uniform(0.5, 2.0))
        return views


def _part(box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of a box (4,), or the box itself if the part would be smaller than _LEAST_PART."""
    size = box[2:] * rng.uniform(0.35, 0.85, 2)
    corner = box[:2] + (box[2:] - size) * rng.random(2)
    return np.concatenate([corner, size]) if size.min() >= _LEAST_PART else box
