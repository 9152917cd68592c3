"""A data set whose images show where the target is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ltr.common.images import shrink
from ltr.dataset.base import Part, SequenceInfo, VideoDataset

WIDTH, HEIGHT = 200, 150
INSIDE, OUTSIDE = 220, 20
"""Red value of the target and of everything else."""


class Painted(VideoDataset):
    """Videos, or stills, of a red rectangle on dark ground.

    Args:
        lengths: frames of each sequence; 1 for a still image.
        visible: for each sequence the frames in which the target is visible; all of them if None.
        scale: of the images and all in them.
    """

    def __init__(self, lengths: Sequence[int], name="painted", visible=None, weights=None, scale=1):
        super().__init__(name, None if weights is None else np.asarray(weights, float))
        self.lengths = list(lengths)
        self.visible, self.scale = visible, scale
        self.read: list[tuple[int, list[int]]] = []
        """What was asked of `frames`."""
        self.reductions: list[int] = []
        """How much smaller each frame was asked for."""

    def __len__(self) -> int:
        return len(self.lengths)

    def _read_sequence(self, index: int) -> SequenceInfo:
        rng = np.random.default_rng([5, index])
        n = self.lengths[index]
        size = rng.integers(16, 40, 2) + rng.integers(0, 5, (n, 2))
        corner = 3 + rng.random((n, 2)) * ((WIDTH, HEIGHT) - size - 6)
        boxes = self.scale * np.concatenate([corner.astype(int), size], axis=1).astype(np.float32)
        visible = np.ones(n, bool)
        if self.visible is not None:
            visible = np.isin(np.arange(n), self.visible[index])
        return SequenceInfo(boxes, visible, is_video=n > 1)

    def _frame_path(self, index: int, frame: int) -> Path:
        raise NotImplementedError

    def frames(self, index, ids, reductions=None, parts=None):
        self.read.append((index, list(ids)))
        return super().frames(index, ids, reductions, parts)

    def _frame(self, index: int, frame: int, reduction: int, part: Part | None) -> np.ndarray:
        self.reductions.append(reduction)
        image = np.full((self.scale * HEIGHT, self.scale * WIDTH, 3), (OUTSIDE, 60, 30 + 3 * frame % 200), np.uint8)
        x, y, w, h = self.sequence(index).boxes[frame].astype(int)
        image[y : y + h, x : x + w, 0] = INSIDE
        return shrink(image, reduction)
