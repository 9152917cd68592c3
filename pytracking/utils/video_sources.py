"""Where frames come from beside a video: a folder of images, a camera; and which of them a user's word means."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2

from ltr.common.images import ImageReadError, read_image
from pytracking.utils.video import DEFAULT_FPS, Frame, FrameSource, Video, VideoError, is_address, warn

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def open_source(text: str | os.PathLike) -> FrameSource:
    """The video file, the folder of images or the stream (rtsp://..., http://...) that `text` names.

    Raises:
        VideoError: there is none, or nothing in it can be read.
    """
    if not is_address(str(text)) and Path(text).is_dir():
        return ImageFolder(text)
    return Video(text)


def open_camera(text: str) -> FrameSource:
    """The camera of a number, as 0, of a device, as /dev/video1, or behind an address, as rtsp://....

    Raises:
        VideoError: there is none, or it gives no picture.
    """
    return Video(text) if is_address(text) else Camera(int(text) if text.isdecimal() else text)


class ImageFolder:
    """The images of a folder, as :func:`read_image` reads them, in the natural order of their names: 2 before 10.

    Their sizes may differ. One that cannot be read is skipped, which is said in one line.

    Raises:
        VideoError: there is no such folder, or no image in it; by iteration, where not a single one can be read.
    """

    live = False
    fps = DEFAULT_FPS

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        if not self.path.is_dir():
            raise VideoError(f"there is no folder {self.path}")
        try:
            files = [file for file in self.path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
        except OSError as error:
            raise VideoError(f"the folder {self.path} cannot be read: {error.strerror}") from error
        self.files = sorted((file for file in files if not file.name.startswith(".")), key=_natural)
        if not self.files:
            raise VideoError(f"the folder {self.path} has no images in it ({', '.join(sorted(IMAGE_SUFFIXES))})")
        folder = self.path.resolve()
        # In OTB's layout every sequence's images are in a folder of this name.
        self.name = folder.parent.name if folder.name == "img" else folder.name
        self.total = len(self.files)

    def __str__(self) -> str:
        return str(self.path)

    def __iter__(self) -> Iterator[Frame]:
        failure = None
        given = 0
        for index, file in enumerate(self.files):
            try:
                image = read_image(file)
            except ImageReadError as error:
                failure = failure or error
                warn(f"frame {index + 1} is skipped: {error}")
                continue
            given += 1
            yield Frame(image, None, index)
        if not given:
            raise VideoError(f"the folder {self.path} has no image that can be read: {failure}")

    def close(self) -> None:
        """Nothing is open between two images."""


def _natural(file: Path) -> list:
    """Key that sorts numbers in names by their value."""
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in re.findall(r"\d+|\D+", file.name)]


class Camera:
    """A camera of this machine, read by OpenCV. Its frames' times count from the first one, by this machine's clock.

    Args:
        device: number, from 0, or path.

    Raises:
        VideoError: there is no such camera, or it gives no picture.
    """

    live = True
    total = None

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

    def __iter__(self) -> Iterator[Frame]:
        start, index = None, 0
        while True:
            there, picture = self._capture.read()
            if not there or picture is None:
                break
            now = time.monotonic()
            start = now if start is None else start
            yield Frame(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), now - start, index)
            index += 1
        if not index:
            raise VideoError(f"{self} is there but gives no picture; is it used by another program?")
        warn(f"{self} gives no more pictures")

    def close(self) -> None:
        self._capture.release()


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    """OpenCV tells of every way in which it failed to open a camera; one sentence is enough."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


class LatestFrames:
    """The newest frame of a live source whenever one is asked for: who takes longer for a frame than the source misses
    some, and never falls behind. A frame is given once; who is faster waits for the next.

    `index` still counts all frames of the source, so that it shows what was missed.
    """

    live = True
    total = None

    def __init__(self, source: FrameSource):
        self._source = source
        self.name, self.fps = source.name, source.fps
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._failure: BaseException | None = None
        self._over = self._closed = False

    def __str__(self) -> str:
        return str(self._source)

    def __iter__(self) -> Iterator[Frame]:
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
        except BaseException as failure:  # it is the reader's who asks for frames
            self._failure = failure
        with self._changed:
            self._over = True
            self._changed.notify()

    def close(self) -> None:
        self._source.close()
