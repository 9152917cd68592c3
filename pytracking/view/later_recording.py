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
        self._places: dict[int, int] = {}  # in the file, by the frame's index
        self._notes: Any = None

    def show(self, frame: TrackedFrame) -> bool:
        targets = tuple(_drawn_part(target) for target in frame.targets)
        with writing(self.writer.path, _REMEDY):
            if self._notes is None:
                self.writer.path.parent.mkdir(parents=True, exist_ok=True)
                self._notes = TemporaryFile(dir=self.writer.path.parent)
            self._places[frame.index] = self._notes.seek(0, os.SEEK_END)
            pickle.dump(
                replace(frame, image=np.empty(0, np.uint8), targets=targets), self._notes, pickle.HIGHEST_PROTOCOL
            )
        return True

    def close(self, complete: bool) -> None:
        try:
            if self._places:
                self._write()
        finally:
            if self._notes is not None:
                self._notes.close()
            super().close(complete)

    def _write(self) -> None:
        indices = range(min(self._places), max(self._places) + 1, self._step)
        with tqdm(total=len(self._places), unit="frame", desc=self.writer.path.name, disable=None, leave=False) as bar:
            for frame in self._read(indices):
                if frame.index in self._places:
                    self._notes.seek(self._places[frame.index])
                    super().show(replace(pickle.load(self._notes), image=frame.image))
                    bar.update()


class _Drawn(NamedTuple):
    """What is drawn of a density."""

    corner: Any


def _drawn_part(target: Target) -> Target:
    output = target.output
    density = None if output.density is None else cast(Any, _Drawn(output.density.corner))
    return replace(target, events=(), output=replace(output, density=density, extra={}))
