"""The training set of generated sequences."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ltr.common.images import shrink
from ltr.dataset.base import Part, SequenceInfo, VideoDataset, video_info
from ltr.dataset.generated.composition import build_scene
from ltr.dataset.generated.exposure import render_part
from ltr.dataset.generated.photographs import TRAINING_PHOTOGRAPHS, find_photographs
from ltr.dataset.generated.recipes import IMAGE_SIZE, draw_recipe
from ltr.dataset.generated.scene import SyntheticScene

_STREAM = 2  # of random numbers; the benchmark has 1, detection images 3
_CACHED_SCENES = 1024  # of some 40 kB


class Generated(VideoDataset):
    """Generated sequences for training. Each frame is rendered on demand.

    Args:
        num_sequences: number of sequences.
        seed: sequence i depends only on (seed, i) and the list of photographs.
        length: number of frames in each sequence.
        size: width and height of the images in pixels.
        photos: a folder of JPEG or PNG photographs (searched with its sub-folders) or a list of such files;
            the packaged training photographs if None.

    Raises:
        UserError: if the folder holds no photograph.
    """

    def __init__(
        self,
        num_sequences: int = 1000,
        seed: int = 0,
        length: int = 60,
        size: tuple[int, int] = IMAGE_SIZE,
        photos: str | Path | Sequence[Path] | None = None,
    ):
        super().__init__("generated")
        self.num_sequences, self.seed, self.length, self.size = num_sequences, seed, length, size
        if photos is None:
            self.photos: tuple[str | Path, ...] = TRAINING_PHOTOGRAPHS
        else:
            self.photos = find_photographs(photos) if isinstance(photos, str | Path) else tuple(map(Path, photos))
        self._drawn: OrderedDict[int, tuple[SyntheticScene, SequenceInfo]] = OrderedDict()

    def __len__(self) -> int:
        return self.num_sequences

    def scene(self, index: int) -> SyntheticScene:
        """The scene of a sequence. Those used last are cached, without their photographs.

        Raises:
            IndexError: if there is no such sequence.
            ImageReadError: if a photograph is missing or damaged.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name} has {len(self)} sequences, there is no sequence {index}")
        if index not in self._drawn:
            self._drawn[index] = self._draw(index)
            if len(self._drawn) > _CACHED_SCENES:
                self._drawn.popitem(last=False)
        self._drawn.move_to_end(index)
        return self._drawn[index][0]

    def _draw(self, index: int) -> tuple[SyntheticScene, SequenceInfo]:
        random = np.random.RandomState([_STREAM, self.seed, index])
        while True:
            scene = build_scene(draw_recipe(random, self.photos, self.size), random, self.size, self.length)
            outlines = scene.vertices(np.arange(self.length))
            x, y = np.moveaxis(outlines, -1, 0).mean(-1)
            if ((x > 0) & (x < self.size[0]) & (y > 0) & (y < self.size[1])).mean() > 0.5:
                return scene, video_info(scene.boxes_of(outlines), hidden=~scene.visible_of(outlines))
            # the target may leave the image, and was outside for most of the time: draw another scene

    def _read_sequence(self, index: int) -> SequenceInfo:
        self.scene(index)
        return self._drawn[index][1]

    def _frame_path(self, index: int, frame: int) -> Path:
        raise NotImplementedError("generated frames have no file")

    def _frame(self, index: int, frame: int, reduction: int, part: Part | None) -> np.ndarray:
        """The image of a frame, rendered; it is black outside of the part."""
        part = part or (0, 0, *self.size)
        left, right = _within(part[0], part[2], self.size[0])
        top, bottom = _within(part[1], part[3], self.size[1])
        image = np.zeros((self.size[1], self.size[0], 3), np.uint8)
        image[top:bottom, left:right] = render_part(self.scene(index), frame, (left, top, right, bottom))
        return shrink(image, reduction)

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_drawn": OrderedDict()}


def _within(first: int, last: int, side: int) -> tuple[int, int]:
    """A range of pixels in [0, side), at least the nearest one."""
    first = min(max(first, 0), side - 1)
    return first, min(max(last, first + 1), side)
