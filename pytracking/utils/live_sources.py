"""Live sources: a stream that is opened again where it breaks off, and the newest frame of any."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

from pytracking.utils.video import Frame, FrameSource, Video, VideoError, warn

_sleep = time.sleep
_REOPENING = (0.2, 1.0, 2.0, 4.0)
"""Seconds before each attempt to open a stream again."""


class Gap(NamedTuple):
    """A time without pictures in a live source.

    Attributes:
        frame: index of the first frame after it.
        time: seconds, of the last frame before it.
        seconds: between the two.
    """

    frame: int
    time: float
    seconds: float


class LiveStream:
    """A live stream that is opened again where it breaks off, a few times, with a line on each gap.

    The times go on by this machine's clock over a gap, and are this clock's throughout if the stream has none, as that
    of a camera that sends JPEGs. A server that sends the same recording again has ended.

    Attributes:
        gaps: those that were bridged.
    """

    live = True
    total: int | None = None

    def __init__(self, video: Video):
        self._video = video
        self.gaps: list[Gap] = []
        self.name, self.fps = video.name, video.fps

    def __str__(self) -> str:
        return str(self._video)

    def __iter__(self) -> Generator[Frame, None, None]:
        index, shift, start = 0, 0.0, None
        frames: Iterator[Frame] | None = iter(self._video)
        while frames is not None:
            last = 0.0
            seen = time.monotonic()
            for frame in frames:
                seen = time.monotonic()
                start = seen if start is None else start
                last = (frame.time or 0.0) + shift if self._video.has_clock else seen - start
                yield Frame(frame.image, last, index)
                index += 1
            begin, frames = self._again(seen)
            gap = time.monotonic() - seen
            shift = last + gap - begin
            if frames is not None:
                self.gaps.append(Gap(index, last, gap))

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

    Attributes:
        gaps: of the source.
    """

    live = True
    total: int | None = None

    def __init__(self, source: FrameSource):
        self._source = source
        self.name, self.fps = source.name, source.fps
        self.gaps: Sequence[Gap] = getattr(source, "gaps", ())
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
