"""A part of a video or folder of images: from one frame to another, every so many frames, forward or backward."""

from __future__ import annotations

import bisect
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ltr.common.errors import UserError
from pytracking.utils.stored_video import StoredVideo
from pytracking.utils.video import Frame, FrameSource, Video, warn
from pytracking.utils.video_sources import ImageFolderSource

_TOLERANCE = 5e-4  # seconds: a time that was copied with three decimals finds its frame
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)s?")


@dataclass(frozen=True)
class Place:
    """A frame of a source: by its index from 0, or by its time in seconds. `text` is what the user typed."""

    text: str
    index: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Place:
        """120 is an index; 4.5s, 4.5, 1:02.5 and 1:00:00 are times.

        Raises:
            UserError: if it is neither.
        """
        if text.isascii() and text.isdecimal():
            return cls(text, index=int(text))
        clock = _CLOCK.fullmatch(text)
        if clock is None:
            raise UserError(
                f"{text!r} is neither the number of a frame, such as 120, nor a time, such as 4.5s or 1:02.5"
            )
        hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        return cls(text, seconds=3600 * hours + 60 * minutes + seconds)


class StoredFrames(Protocol):
    """Frames that can be read in any order.

    Attributes:
        times: seconds of each, rising; None without a clock.
    """

    @property
    def times(self) -> Sequence[float] | None: ...

    def __len__(self) -> int: ...

    def read(self, frames: range) -> Generator[Frame, None, None]:
        """The frames with these indices, in the order of the range; what cannot be read is left out, with a warning."""


@dataclass(frozen=True)
class Selection:
    """Which frames of a source, as a user says it.

    Attributes:
        start: the frame to begin with; None for the first one, or backwards the last one.
        end: the frame to end with, which belongs to the selection; None for the last one, or backwards the first one.
        stride: every so many frames; at least 1.
        backward: from a later frame to an earlier one.
    """

    start: Place | None = None
    end: Place | None = None
    stride: int = 1
    backward: bool = False

    def __bool__(self) -> bool:
        """Whether it differs from all frames in their order."""
        return self != Selection()


class Part:
    """Selected frames of a video file or folder of images: a :class:`FrameSource`.

    Args:
        source: a file or folder.
        selection: of its frames.

    Attributes:
        source: the whole.
        frames: the indices of the selected frames, in the order of reading. There is at least one.
        name: that of the source, with the first and the last frame and the stride if it is not the whole.

    Raises:
        UserError: if the source is live, a time is given where there is no clock, or no frame is selected.
    """

    live = False

    def __init__(self, source: FrameSource, selection: Selection):
        self.source = source
        self._stored = _stored(source)
        self.frames = self._select(selection)
        low, high = sorted((self.frames[0], self.frames[-1]))
        step = f"-{selection.stride}" if selection.stride > 1 else ""
        self.name = source.name if len(self.frames) == len(self._stored) else f"{source.name}_{low}-{high}{step}"
        self.fps = source.fps / selection.stride
        self.total: int | None = len(self.frames)

    @property
    def count(self) -> int:
        """The number of frames of the source."""
        return len(self._stored)

    @property
    def path(self) -> Path | None:
        """Of the source."""
        return getattr(self.source, "path", None)

    def __str__(self) -> str:
        return str(self.source)

    def __iter__(self) -> Generator[Frame, None, None]:
        return self.read(self.frames)

    def read(self, frames: range) -> Generator[Frame, None, None]:
        """Frames of the source, in the order of the range."""
        return self._stored.read(frames)

    def close(self) -> None:
        self.source.close()

    def find(self, place: Place, option: str) -> int:
        """The index of the selected frame at this place: with a time, of the one that is shown then.

        Args:
            option: where the place was given, for messages.

        Raises:
            UserError: if there is no such frame, or it is not selected.
        """
        index = self._index(place, option, upwards=False)
        if index in self.frames:
            return index
        low, high = sorted((self.frames[0], self.frames[-1]))
        if not low <= index <= high:
            raise UserError(f"{option} {place.text} is outside the selected frames, {low} to {high}")
        below = low + (index - low) // abs(self.frames.step) * abs(self.frames.step)
        raise UserError(
            f"{option} {place.text} is frame {index}, which --stride leaves out; "
            f"the selected ones beside it are {below} and {below + abs(self.frames.step)}"
        )

    def _select(self, selection: Selection) -> range:
        last = len(self._stored) - 1
        start, end, backward, stride = selection.start, selection.end, selection.backward, selection.stride
        first_frame, last_frame = (last, 0) if backward else (0, last)
        if start is not None:
            first_frame = self._index(start, "--start", upwards=not backward)
        if end is not None and self._is_beyond(end) and not backward:
            warn(f"--end {end.text} is after the last frame, {self._frame_in_words(last)}; the run ends there")
        elif end is not None:
            last_frame = self._index(end, "--end", upwards=backward)
        frames = range(first_frame, last_frame - 1, -stride) if backward else range(first_frame, last_frame + 1, stride)
        if frames:
            return frames
        given = " ".join(f"--{name} {place.text}" for name, place in (("start", start), ("end", end)) if place)
        if backward:
            raise UserError(
                f"{given} selects no frame: with --backward the run goes from --start, the later frame, to --end"
            )
        raise UserError(
            f"{given} selects no frame: give an --end that is not before --start, or --backward to go from a later "
            "frame to an earlier one"
        )

    def _index(self, place: Place, option: str, upwards: bool) -> int:
        """The frame at a place; if no frame begins at its time, the next one `upwards` or downwards."""
        times, last = self._stored.times, len(self._stored) - 1
        if place.seconds is not None and times is None:
            raise UserError(f"{option} {place.text} is a time, but {self.source} has none: give the index of a frame")
        if self._is_beyond(place):
            raise UserError(
                f"{option} {place.text} is beyond the end of {self.source}, whose last frame is "
                f"{self._frame_in_words(last)}"
            )
        if place.index is not None:
            return place.index
        assert times is not None and place.seconds is not None
        if upwards:
            return bisect.bisect_left(times, place.seconds - _TOLERANCE)
        return max(0, bisect.bisect_right(times, place.seconds + _TOLERANCE) - 1)

    def _is_beyond(self, place: Place) -> bool:
        if place.index is not None:
            return place.index >= len(self._stored)
        times = self._stored.times
        return times is not None and place.seconds is not None and place.seconds > times[-1] + _TOLERANCE

    def _frame_in_words(self, frame: int) -> str:
        times = self._stored.times
        return f"{frame}" if times is None else f"{frame}, at {times[frame]:.2f} s"


def _stored(source: FrameSource) -> StoredFrames:
    if isinstance(source, Video) and not source.live:
        return StoredVideo(source)
    if isinstance(source, ImageFolderSource):
        return source
    raise UserError(
        f"of {source}, which is live, no frames can be chosen (--start, --end, --stride, --backward, --both-ways, "
        "--box-at): record it to a file first"
    )
