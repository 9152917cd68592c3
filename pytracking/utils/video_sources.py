"""Sources of frames besides a video: a folder of images, a camera; and the source that a user names."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np

from ltr.common.frame_order import IMAGE_SUFFIXES, FrameOrderError, find_images, order_frames
from ltr.common.images import ImageReadError, read_image
from ltr.common.secrets_in_text import without_secrets
from pytracking.utils.live_sources import Gap, LiveStream
from pytracking.utils.video import DEFAULT_FPS, Frame, FrameSource, Video, VideoError, is_address, warn

_FIRST_PICTURE, _NEXT_PICTURE = 6.0, 3.0  # seconds to wait for a camera's first picture, and for any other
_TRIES, _PAUSE = 3, 0.05  # least number of attempts in this time, and seconds between them
_sleep = time.sleep


def open_source(text: str | os.PathLike) -> FrameSource:
    """The video file, folder of images or stream (rtsp://..., http://...) that `text` names.

    Raises:
        VideoError: if there is none, or nothing in it can be read.
    """
    if str(text).lower().startswith("file://"):
        text = unquote(urlsplit(str(text)).path)
    if not str(text):
        raise VideoError("the name of the video is empty; give a file, a folder of images, or an address")
    if not is_address(str(text)) and Path(text).is_dir():
        return ImageFolderSource(text)
    if is_image(str(text)) and len(_images_beside(Path(text))) > 1:
        warn(f"{text} is one of the images of a folder: to track through all, give the folder")
    if not os.path.exists(text):
        _check_scheme(str(text))
    return _reopened(Video(text))


def is_image(text: str) -> bool:
    """Whether this is the name of an image file."""
    return not is_address(text) and Path(text).suffix.lower() in IMAGE_SUFFIXES


def _images_beside(file: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return find_images(file.parent)
    return []


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

    Attributes:
        gaps: the times without a picture that were said.

    Raises:
        VideoError: if there is no such camera, or, on iteration, if it gives no picture.
    """

    live = True
    total: int | None = None

    def __init__(self, device: int | str):
        self._device = device
        self.gaps: list[Gap] = []
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
        start, last, index = None, 0.0, 0
        while (read := self._read(_FIRST_PICTURE if start is None else _NEXT_PICTURE)) is not None:
            picture, waited = read
            now = time.monotonic()
            start = now if start is None else start
            if waited and index:
                warn(f"{self} gave no picture for {waited:.1f} s, and goes on")
                self.gaps.append(Gap(index, last, now - start - last))
            last = now - start
            yield Frame(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), last, index)
            index += 1
        if not index:
            raise VideoError(f"{self} is there but gives no picture; is it used by another program?")
        warn(f"{self} gives no more pictures")

    def _read(self, patience: float) -> tuple[np.ndarray, float] | None:
        """The next picture, and the seconds for which it was asked for several times; None if there is none for so many
        seconds."""
        start, tries = time.monotonic(), 0
        while True:
            there, picture = self._capture.read()
            waited = time.monotonic() - start
            if there and picture is not None and picture.size:
                return picture, waited if tries else 0.0
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
