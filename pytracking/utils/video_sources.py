"""Sources of frames besides a video: a folder of images, a camera; and the source that a user names."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np

from ltr.common.frame_order import IMAGE_SUFFIXES, FrameOrderError, find_images, order_frames
from ltr.common.images import ImageReadError, read_image
from ltr.common.secrets_in_text import without_secrets
from pytracking.utils.video import DEFAULT_FPS, Frame, FrameSource, Video, VideoError, is_address, warn

_FIRST_PICTURE, _NEXT_PICTURE = 6.0, 3.0  # seconds to wait for a camera's first picture, and for any other
_TRIES, _PAUSE = 3, 0.05  # least number of attempts in this time, and seconds between them
_sleep = time.sleep
_REOPENING = (0.2, 1.0, 2.0, 4.0)
"""Seconds before each attempt to open a stream again."""


def open_source(text: str | os.PathLike) -> FrameSource:
    """The video file, folder of images or stream (rtsp://..., http://...) that `text` names.

    Raises:
        VideoError: if there is none, or nothing in it can be read.
    """
    if str(text).lower().startswith("file://"):
        text = unquote(urlsplit(str(text)).path)
    if not is_address(str(text)) and Path(text).is_dir():
        return ImageFolderSource(text)
    if not os.path.exists(text):
        _check_scheme(str(text))
    return _reopened(Video(text))


def open_camera(text: str) -> FrameSource:
    """The camera with a number (0), a device (/dev/video1) or an address (rtsp://...).

    Raises:
        VideoError: if there is none, or it gives no picture.
    """
    if is_address(text):
        return _reopened(Video(text))
    if not os.path.exists(text):
        _check_scheme(text)
    return Camera(int(text) if text.isdecimal() else text)


def _reopened(video: Video) -> FrameSource:
    return LiveStream(video) if video.live else video


def _check_scheme(text: str) -> None:
    """Refuse host:port/path and user:password@host/path, which are addresses without their beginning, with the way to
    write them."""
    if "://" not in text and re.match(r"[^\s:/\\]+:[^\s\\]*@|(\[[0-9a-fA-F:]+\]|[\w.@-]+):\d{1,5}(/|$)", text):
        shown = without_secrets(f"rtsp://{text}")
        file = shown.removeprefix("rtsp://")
        raise VideoError(f"there is no file {file}; if it is the address of a stream, give {shown} or http://{file}")


class ImageFolderSource:
    """The images of a folder, read by :func:`read_image`, in the order of :func:`order_frames`.

    Their sizes may differ. An image that cannot be read is skipped, with a warning of one line.

    Raises:
        VideoError: if there is no such folder, no image in it, or more than one order of them; on iteration, if no
            image can be read.
    """

    live = False
    fps = DEFAULT_FPS
    times: Sequence[float] | None = None
    total: int | None

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        if not self.path.is_dir():
            raise VideoError(f"there is no folder {self.path}")
        try:
            self.files = list(order_frames(find_images(self.path)).values())
        except FrameOrderError as error:
            raise VideoError(f"in the folder {self.path}, {error}") from error
        except OSError as error:
            raise VideoError(f"the folder {self.path} cannot be read: {error.strerror}") from error
        if not self.files:
            raise VideoError(f"the folder {self.path} has no images in it ({', '.join(sorted(IMAGE_SUFFIXES))})")
        folder = self.path.resolve()
        # In OTB's layout, the images of every sequence are in a folder of this name.
        self.name = folder.parent.name if folder.name == "img" else folder.name
        self.total = len(self.files)

    def __str__(self) -> str:
        return str(self.path)

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Generator[Frame, None, None]:
        return self.read(range(len(self.files)))

    def read(self, frames: range) -> Generator[Frame, None, None]:
        """The images with these indices, in the order of the range."""
        failure = None
        given = 0
        for index in frames:
            try:
                image = read_image(self.files[index])
            except ImageReadError as error:
                failure = failure or error
                warn(f"frame {index + 1} is skipped: {error}")
                continue
            given += 1
            yield Frame(image, None, index)
        if not given:
            raise VideoError(f"the folder {self.path} has no image that can be read: {failure}")

    def close(self) -> None:
        """Do nothing: between two images, no file is open."""


class Camera:
    """A camera of this machine, read by OpenCV. The times of its frames count from the first, by this machine's clock.

    A camera that needs a moment before its first picture gets it, and one that gives no picture for a while is asked
    again, with a warning of one line.

    Args:
        device: number, from 0, or path.

    Raises:
        VideoError: if there is no such camera, or, on iteration, if it gives no picture.
    """

    live = True
    total: int | None = None

    def __init__(self, device: int | str):
        self._device = device
        with _quiet_opencv():
            self._capture = cv2.VideoCapture(device)
        if not self._capture.isOpened():
            self._capture.release()
            raise VideoError(
                f"there is no camera {device} that can be opened; is it plugged in, used by another program, or has it "
                "another number (--camera 1)?"
            )
        self.name = f"camera_{Path(str(device)).name}"
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = rate if 0 < rate < 1000 else DEFAULT_FPS

    def __str__(self) -> str:
        return f"camera {self._device}"

    def __iter__(self) -> Generator[Frame, None, None]:
        start, index = None, 0
        while (picture := self._read(_FIRST_PICTURE if start is None else _NEXT_PICTURE)) is not None:
            now = time.monotonic()
            start = now if start is None else start
            yield Frame(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), now - start, index)
            index += 1
        if not index:
            raise VideoError(f"{self} is there but gives no picture; is it used by another program?")
        warn(f"{self} gives no more pictures")

    def _read(self, patience: float) -> np.ndarray | None:
        """The next picture; None if there is none for so many seconds."""
        start, tries = time.monotonic(), 0
        while True:
            there, picture = self._capture.read()
            waited = time.monotonic() - start
            if there and picture is not None and picture.size:
                if tries and patience is not _FIRST_PICTURE:
                    warn(f"{self} gave no picture for {waited:.1f} s, and goes on")
                return picture
            tries += 1
            if waited >= patience and tries >= _TRIES:
                return None
            _sleep(_PAUSE)

    def close(self) -> None:
        self._capture.release()


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Silences OpenCV, which prints a line for each way in which it fails to open a camera."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


class LiveStream:
    """A live stream that is opened again where it breaks off, a few times, with a line on each gap.

    The times go on by this machine's clock over a gap. A server that sends the same recording again has ended.
    """

    live = True
    total: int | None = None

    def __init__(self, video: Video):
        self._video = video
        self.name, self.fps = video.name, video.fps

    def __str__(self) -> str:
        return str(self._video)

    def __iter__(self) -> Generator[Frame, None, None]:
        index, shift = 0, 0.0
        frames: Iterator[Frame] | None = iter(self._video)
        while frames is not None:
            last = 0.0
            seen = time.monotonic()
            for frame in frames:
                last, seen = (frame.time or 0.0) + shift, time.monotonic()
                yield Frame(frame.image, last, index)
                index += 1
            begin, frames = self._again(seen)
            shift = last + time.monotonic() - seen - begin

    def _again(self, since: float) -> tuple[float, Iterator[Frame] | None]:
        """Open the stream again: the time of its first frame, and its frames; or none if it has ended."""
        first, reason = self._video.first_packet, ""
        for pause in _REOPENING:
            _sleep(pause)
            try:
                video = Video(self._video.address)
                frames = iter(video)
                frame = next(frames)
            except (VideoError, StopIteration) as error:
                reason = str(error)
                continue
            if video.first_packet == first:
                video.close()
                return 0.0, None
            self._video = video
            warn(f"{self} goes on after {time.monotonic() - since:.1f} s without a picture")
            return frame.time or 0.0, itertools.chain([frame], frames)
        warn(f"{self} could not be opened again in {time.monotonic() - since:.0f} s: {reason}")
        return 0.0, None

    def close(self) -> None:
        self._video.close()


class LatestFrames:
    """The newest frame of a live source at each step. A slow consumer misses frames, but never falls behind.

    Each frame is given once; a fast consumer waits for the next. `index` counts all frames of the source, so that it
    shows how many were missed.
    """

    live = True
    total: int | None = None

    def __init__(self, source: FrameSource):
        self._source = source
        self.name, self.fps = source.name, source.fps
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._failure: BaseException | None = None
        self._over = self._closed = False

    def __str__(self) -> str:
        return str(self._source)

    def __iter__(self) -> Generator[Frame, None, None]:
        thread = threading.Thread(target=self._read, name="read_frames", daemon=True)
        thread.start()
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._newest is not None or self._over)
                    frame, self._newest = self._newest, None
                if frame is None:
                    break
                yield frame
            if self._failure is not None:
                raise self._failure
        finally:
            self._closed = True
            thread.join()

    def _read(self) -> None:
        try:
            for frame in self._source:
                with self._changed:
                    self._newest = frame
                    self._changed.notify()
                if self._closed:
                    break
        except BaseException as failure:  # raised where the frames are consumed
            self._failure = failure
        with self._changed:
            self._over = True
            self._changed.notify()

    def close(self) -> None:
        self._source.close()
