"""Frames of a video file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ebm_common.errors import UserError

DEFAULT_FPS = 25.0


class VideoError(UserError):
    """A video that cannot be read or written."""


class Video:
    """A video file, read frame by frame: ``for image in Video(path): ...`` gives uint8 (H, W, 3) RGB.

    Attributes:
        path: the file.
        fps: frames per second; 25 where the file does not say.

    Raises:
        VideoError: the file is missing, or no video that can be read.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        with self._open() as capture:
            fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else DEFAULT_FPS

    def __iter__(self) -> Iterator[np.ndarray]:
        with self._open() as capture:
            count = 0
            while True:
                there, frame = capture.read()
                if not there:
                    break
                count += 1
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        if not count:
            raise VideoError(f"the video {self.path} holds no frame that can be read")

    @contextlib.contextmanager
    def _open(self) -> Iterator[cv2.VideoCapture]:
        if not self.path.is_file():
            raise VideoError(f"there is no video file {self.path}")
        capture = cv2.VideoCapture(str(self.path))
        try:
            if not capture.isOpened():
                raise VideoError(f"{self.path} is not a video that can be read; is it damaged, or of another kind?")
            yield capture
        finally:
            capture.release()
