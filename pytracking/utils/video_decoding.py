"""One reading of a video: from packets to upright pictures with their index and time. Says which are lost."""

from __future__ import annotations

import collections
import heapq
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from pytracking.utils.frame_source import Frame, VideoError, reason_of, warn
from pytracking.utils.rising_times import RisingTimes

if TYPE_CHECKING:
    from pytracking.utils.video import Video

_LOOK_AHEAD = 3  # packets of a transport stream
JUMP = 10.0
"""Seconds: a longer step in a transport stream is where two recordings were joined."""

TRANSPORTS = frozenset({"mpegts", "mpeg", "hls"})
"""Formats of transport streams."""


class NumberedPacket(NamedTuple):
    """A packet of a video and its number. `at_joint`: it stands just before the place where two recordings were joined;
    there the demuxer takes a whole packet for a broken one."""

    packet: av.Packet
    number: int
    at_joint: bool


def packet_number(picture: av.VideoFrame) -> int:
    """The number of the packet that a picture came from."""
    (number,) = cast(list[int], picture.opaque)
    return number


class Decoding:
    """One reading of a video.

    Args:
        say: takes the warnings.
    """

    def __init__(
        self,
        video: Video,
        container: av.container.InputContainer,
        stream: VideoStream,
        say: Callable[[str], object] = warn,
    ):
        self._video, self._container, self._stream, self._say = video, container, stream, say
        stream.codec_context.copy_opaque = True  # a picture then says which packet it came from
        self._convert = VideoReformatter()  # kept, since making one takes as long as a picture
        self._kind: tuple[int, int, int] | None = None  # rotation and size of the last picture,
        self._matrix: list[int] | None = None  # and its display matrix
        self._start = (container.start_time or 0) / av.time_base
        self._waiting: list[int] = []  # times of pictures that went into the decoder and have not come out, a heap
        self._damaged: set[int] = set()  # times of pictures that were broken, or came after one before a key frame
        self._whole = True  # no damage since the last key frame
        self._missing: list[float] = []  # times of pictures in a row that cannot be decoded
        self._failure: Exception | None = None  # that ended the reading
        self._given = self._lost = self._left_out = 0
        self._end = 0.0  # of the last picture
        self._decoding_times: list[int] = []  # of packets whose pictures have not come out, a heap
        formats = set(container.format.name.split(","))
        self._unordered = "avi" in formats  # it has no times but those of decoding
        jumps = bool(TRANSPORTS & formats)
        self._look_ahead = _LOOK_AHEAD if jumps and not video.live else 0
        self._rising = RisingTimes(1 / video.fps, JUMP if jumps else math.inf)

    def frames(self) -> Iterator[Frame]:
        """All frames, from the first to the last."""
        for picture in self.pictures(self.packets()):
            index, time = self._place(picture)
            yield Frame(self.image(picture), time, index)
        self._end_of_frames()

    def places(self) -> Iterator[tuple[int, int, float]]:
        """The packet, index and time of all frames, without their images."""
        for picture in self.pictures(self.packets()):
            yield (packet_number(picture), *self._place(picture))
        self._end_of_frames()

    def pictures(self, packets: Iterator[NumberedPacket]) -> Iterator[av.VideoFrame]:
        """The pictures of these packets, in the order in which they are shown."""
        while True:
            try:
                numbered = next(packets, None)
            except (OSError, av.FFmpegError) as error:
                self._failure = error
                yield from self._decode(None)  # without an end of the packets, the decoder still holds pictures
                return
            if numbered is None:
                return
            yield from self._decode(numbered.packet, numbered.at_joint, numbered.number)

    def image(self, picture: av.VideoFrame) -> np.ndarray:
        """uint8 (H, W, 3) RGB, upright."""
        kind = (picture.rotation, picture.width, picture.height)
        # Not of every picture: PyAV keeps one whose side data were read until a garbage collection.
        if kind != self._kind:
            self._kind, self._matrix = kind, _display_matrix(picture)
        return _upright(self._matrix, self._convert.reformat(picture, format="rgb24").to_ndarray())

    def packets(self) -> Iterator[NumberedPacket]:
        """The packets from where the file stands, counted from 0. Those without content have the number of the next."""
        queue: collections.deque[av.Packet] = collections.deque()
        number = 0
        demuxed = self._container.demux(self._stream)
        while (packet := next(demuxed, None)) is not None or queue:
            if packet is not None:
                queue.append(packet)
            if packet is None or len(queue) > self._look_ahead:
                yield NumberedPacket(queue[0], number, _restarts(queue))
                number += 1 if queue.popleft().size else 0

    def _decode(self, packet: av.Packet | None, at_joint: bool = False, number: int = 0) -> list[av.VideoFrame]:
        if packet is None or not packet.size:
            return self._pictures(packet)
        packet.opaque = [number]  # an object of its own: PyAV tells them apart by their addresses
        if self._video.first_packet is None:
            self._video.first_packet = packet.pts, bytes(packet)
        if packet.is_discard:  # before the start of a clip that was cut without re-encoding
            self._left_out += 1
        elif packet.pts is not None:
            heapq.heappush(self._waiting, packet.pts)
        if packet.dts is not None and self._unordered and self._stream.codec_context.has_b_frames:
            heapq.heappush(self._decoding_times, packet.dts)
        if packet.is_keyframe:
            self._whole = True
        corrupt = packet.is_corrupt and not at_joint
        pictures = [] if corrupt else self._pictures(packet)
        self._whole &= not corrupt
        if not self._whole and packet.pts is not None:
            self._damaged.add(packet.pts)
        return pictures

    def _pictures(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        try:
            return self._stream.decode(packet)
        except (OSError, av.FFmpegError):
            self._whole = False
            return []

    def _place(self, picture: av.VideoFrame) -> tuple[int, float]:
        """The index and the time of the next picture."""
        self._find_missing(picture.pts)
        self._say_missing()
        # Pictures come in the order in which they are shown, so theirs are the times of the packets in rising order.
        ticks = heapq.heappop(self._decoding_times) if self._decoding_times else picture.pts
        time = None if ticks is None else _seconds(ticks, self._stream) - self._start
        if time is not None:
            self._end = time + _seconds(picture.duration or 0, self._stream)
        self._given += 1
        return self._given - 1 + self._lost, self._rising(time)

    def _find_missing(self, pts: int | None) -> None:
        """Note the pictures before this one (or before the end) that never came out of the decoder. Only those after
        damage are lost: some formats have packets that show nothing by themselves."""
        while self._waiting and (pts is None or self._waiting[0] <= pts):
            waited = heapq.heappop(self._waiting)
            if waited in self._damaged:
                self._damaged.remove(waited)
                if waited != pts:
                    self._missing.append(_seconds(waited, self._stream) - self._start)

    def _say_missing(self) -> None:
        if not self._missing:
            return
        first, count = self._given + self._lost + 1, len(self._missing)
        self._lost += count
        where = f"frame {first}, at {self._missing[0]:.2f} s, cannot be decoded and is skipped"
        if count > 1:
            where = (
                f"frames {first} to {first + count - 1}, at {self._missing[0]:.2f} to {self._missing[-1]:.2f} s, "
                "cannot be decoded and are skipped"
            )
        self._say(f"{self._video}: {where}")
        self._missing = []

    def _end_of_frames(self) -> None:
        self._find_missing(None)
        failure = self._failure
        if not self._given:
            raise VideoError(f"the video {self._video} holds no frame that can be read") from failure
        announced, seconds = self._stream.frames, duration_of(self._container, self._stream)
        known = self._given + self._lost + self._left_out + len(self._missing)
        # Files that announce a number of frames also have an exact end; others have not. Neither alone tells: AVI
        # counts empty positions, and some files show their last picture for a while.
        slack = 0.5 / self._video.fps if announced else 1.5 / self._video.fps + 0.02 * (seconds or 0)
        early = (known < announced or not announced) and seconds is not None and self._end < seconds - slack
        of = f" of {announced}" if announced else ""
        why = f" ({reason_of(failure)})" if failure else ""
        if self._video.live:
            what = "broke off" if failure else "ended"
            self._say(f"{self._video}: the stream {what}{why} after {self._given} frames")
        elif failure is not None or early:
            # A broken frame at the very end counts as missing.
            self._video.broke_off = bool(self._video.address)
            self._say(f"{self._video} ends early{why}: {self._given}{of} frames are there and used")
        else:
            self._say_missing()


def _restarts(packets: Iterable[av.Packet]) -> bool:
    """Whether the decoding times of the packets, which always rise, begin again."""
    times = [packet.dts for packet in packets if packet.dts is not None]
    return any(after < before for before, after in itertools.pairwise(times))


def _display_matrix(picture: av.VideoFrame) -> list[int] | None:
    """(a, b, u, c, d, v, x, y, w), if the file has one."""
    try:
        matrix: Any = picture.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV refuses all side data if it does not know one kind, such as EXIF
        return _turn_matrix(picture.rotation)
    return None if matrix is None else np.frombuffer(bytes(matrix), np.int32).tolist()


def _turn_matrix(degrees: int) -> list[int] | None:
    """The display matrix that turns a picture counterclockwise."""
    cos, sin = (round(f(math.radians(degrees))) for f in (math.cos, math.sin))
    return [cos, -sin, 0, sin, cos, 0, 0, 0, 1] if degrees else None


def _upright(matrix: list[int] | None, image: np.ndarray) -> np.ndarray:
    """The image as the display matrix turns it: x' = a x + c y, y' = b x + d y."""
    if matrix is None:
        return image
    a, b, _, c, d = matrix[:5]
    if abs(b) + abs(c) > abs(a) + abs(d):
        image = image.transpose(1, 0, 2)
        a, d = c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _seconds(ticks: int, stream: VideoStream) -> float:
    return float(ticks * (stream.time_base or Fraction(1, av.time_base)))


def duration_of(container: av.container.InputContainer, stream: VideoStream) -> float | None:
    """Seconds of the pictures, if the file says."""
    if stream.duration:
        return _seconds(stream.duration, stream)
    clock = re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", ""))  # Matroska and WebM
    if clock:
        hours, minutes, seconds = map(float, clock.groups())
        return 3600 * hours + 60 * minutes + seconds
    if container.duration and len(container.streams) == 1:  # sound may be longer
        return container.duration / av.time_base
    return None
