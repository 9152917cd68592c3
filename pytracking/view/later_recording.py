"""A run that does not go forward, recorded as a video in the order of its source."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable
from dataclasses import replace
from tempfile import TemporaryFile
from typing import Any, NamedTuple, cast

import numpy as np
from tqdm import tqdm

from ltr.common.files import writing
from pytracking.utils.frame_table import FrameTable
from pytracking.utils.video import DEFAULT_FPS, Frame
from pytracking.view.base import Target, TrackedFrame
from pytracking.view.recording import VideoView

_REMEDY = "make room on the disk, or write no video (--save_video)"


class LaterVideoView(VideoView):
    """Notes what was tracked, in a nameless file beside the video, and writes the video when the run is over, from the
    source's frames, which are read again. A frame that was shown several times is written as it was shown last.

    Args:
        path, fps, density: as for :class:`VideoView`.
        read: reads the run's frames of these indices, which rise by `step`.
        step: of the indices.

    Raises:
        UserError: if the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        read: Callable[[range], Iterable[Frame]],
        step: int = 1,
        fps: float = DEFAULT_FPS,
        density: bool = False,
    ):
        super().__init__(path, fps, density)
        self._read, self._step = read, step
        self._places: FrameTable | None = None  # in the file, by the frame's index
        self._notes: Any = None

    def show(self, frame: TrackedFrame) -> bool:
        targets = tuple(_drawn_part(target) for target in frame.targets)
        with writing(self.writer.path, _REMEDY):
            if self._places is None:
                self.writer.path.parent.mkdir(parents=True, exist_ok=True)
                self._notes = TemporaryFile(dir=self.writer.path.parent)
                self._places = FrameTable()
            self._places[frame.index] = self._notes.seek(0, os.SEEK_END)
            pickle.dump(
                replace(frame, image=np.empty(0, np.uint8), targets=targets), self._notes, pickle.HIGHEST_PROTOCOL
            )
        return True

    def close(self, complete: bool) -> None:
        try:
            if self._places is not None:
                self._write(self._places)
        finally:
            for file in (self._notes, self._places):
                if file is not None:
                    file.close()
            super().close(complete)

    def _write(self, places: FrameTable) -> None:
        first, last = places.ends() or (0, -1)
        indices = range(first, last + 1, self._step)
        with tqdm(total=len(places), unit="frame", desc=self.writer.path.name, disable=None, leave=False) as bar:
            for frame in self._read(indices):
                place = places.get(frame.index)
                if place is not None:
                    self._notes.seek(place)
                    super().show(replace(pickle.load(self._notes), image=frame.image))
                    bar.update()


class _Drawn(NamedTuple):
    """What is drawn of a density."""

    corner: Any


def _drawn_part(target: Target) -> Target:
    output = target.output
    density = None if output.density is None else cast(Any, _Drawn(output.density.corner))
    return replace(target, events=(), output=replace(output, density=density, extra={}))
