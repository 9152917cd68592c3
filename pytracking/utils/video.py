"""Frames of a video file, and frames into one.

Reading is OpenCV's, which knows most formats and turns the pictures of a phone upright. Writing is PyAV's, because the
usual wheels of OpenCV cannot write H.264, which is what browsers, phones and office programs all play.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from ebm_common.errors import UserError

_DEFAULT_FPS = 25.0


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
        self.fps = fps if 0 < fps < 1000 else _DEFAULT_FPS

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


class VideoWriter:
    """Writes frames to an .mp4 file (H.264). To be used in a ``with`` statement.

        with VideoWriter("out.mp4", fps=25) as video:
            video.add(image)

    The file appears when the last frame is written; an exception leaves none, and one of an earlier run as it was.

    Args:
        path: the file, ending in .mp4; its folder is made where it does not exist.
        fps: frames per second.

    Raises:
        VideoError: the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike, fps: float = _DEFAULT_FPS):
        self.path = Path(path)
        self._partial = self.path.with_name(f".{self.path.stem}.{os.getpid()}.partial.mp4")
        self._fps = fps
        self._container: av.container.OutputContainer | None = None
        self._stream: av.video.stream.VideoStream | None = None

    def __enter__(self) -> VideoWriter:
        return self

    def add(self, image: np.ndarray) -> None:
        """Adds a frame, uint8 (H, W, 3) RGB. All are brought to the size of the first."""
        try:
            if self._stream is None:
                self._start(image.shape[1], image.shape[0])
            width, height = self._stream.width, self._stream.height
            if abs(image.shape[1] - width) <= 1 and abs(image.shape[0] - height) <= 1:
                image = image[:height, :width]  # H.264 wants even sizes: a row or column less is not seen
            if image.shape[:2] != (height, width):  # a video has one size, a folder of images need not
                image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (OSError, av.FFmpegError) as error:
            raise self._failure(error) from error

    def _start(self, width: int, height: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(self._partial), "w", format="mp4", options={"movflags": "faststart"})
        h264 = "libx264" in av.codecs_available
        rate = Fraction(self._fps).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264" if h264 else "mpeg4", rate=rate)
        self._stream.width, self._stream.height = max(2, width // 2 * 2), max(2, height // 2 * 2)
        self._stream.pix_fmt = "yuv420p"  # what every player knows
        self._stream.options = {"crf": "18", "preset": "medium"} if h264 else {"qscale": "3"}

    def __exit__(self, kind, error, trace) -> None:
        if self._container is None:
            return
        try:
            if kind is None:
                for packet in self._stream.encode():
                    self._container.mux(packet)
            self._container.close()
            if kind is None:
                os.replace(self._partial, self.path)
        except (OSError, av.FFmpegError) as failure:
            raise self._failure(failure) from failure
        finally:
            self._partial.unlink(missing_ok=True)

    def _failure(self, error: Exception) -> VideoError:
        return VideoError(f"the video {self.path} cannot be written: {getattr(error, 'strerror', None) or error}")
