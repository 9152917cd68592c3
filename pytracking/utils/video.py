"""Frames of a video file or a stream, with their colours, times and orientation as a player shows them."""

from __future__ import annotations

import collections
import contextlib
import heapq
import itertools
import math
import os
import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import unquote, urlsplit

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from tqdm import tqdm

from ltr.common.errors import UserError
from ltr.common.secrets_in_text import without_secrets

DEFAULT_FPS = 25.0  # of what does not say its rate

_PROBED = 500  # packets that are read to tell a cover from a video
_LOOK_AHEAD = 3  # packets of a transport stream
JUMP = 10.0
"""Seconds: a longer step in a transport stream is where two recordings were joined."""

TRANSPORTS = frozenset({"mpegts", "mpeg", "hls"})
"""Formats of transport streams."""

_WITHOUT_CLOCK = frozenset({"mpjpeg", "mjpeg", "h264", "hevc"})
"""Formats that hold pictures only."""

_TIMEOUT = 10.0  # seconds without a sign of life after which a stream is given up
_STREAM = {
    "rtsp_transport": "tcp",  # over UDP, lost packets smear the picture
    "reconnect": "1",  # a file of a web server goes on at its place
    "reconnect_delay_max": "4",  # seconds, after 0 and 1; then it ends early
}


class VideoError(UserError):
    """A video that cannot be read or written."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a source.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        time: seconds from the beginning of the source at which it is shown, always later than the last; None without a
            clock, as in a folder of images.
        index: its position in the source, from 0. Frames that cannot be read are skipped, but counted.
    """

    image: np.ndarray
    time: float | None
    index: int


class FrameSource(Protocol):
    """A source of frames: ``for frame in source``. Its string is its file, folder or address.

    Attributes:
        name: short, without folder and suffix.
        fps: frames per second; 25 if the source does not say.
        total: number of frames that the source announces; None if it does not.
        live: True if frames that are not taken in time are lost; otherwise they wait.
    """

    name: str
    fps: float
    total: int | None

    @property
    def live(self) -> bool: ...

    def __iter__(self) -> Generator[Frame, None, None]: ...

    def close(self) -> None:
        """Release the file, stream or camera."""


def warn(text: str) -> None:
    """Print one line on standard error, above a progress bar if there is one."""
    tqdm.write(f"warning: {text}", file=sys.stderr)


def is_address(text: str) -> bool:
    """Whether `text` names a stream, such as rtsp://..., and not a file."""
    return "://" in text and not os.path.exists(text)


def file_name(path: str | os.PathLike) -> str:
    """The file's name for FFmpeg, which takes 10:30.mp4 for an address unless the name begins with the root."""
    return os.path.abspath(path)


class Video:
    """A video file or stream: a :class:`FrameSource` that can be read several times.

    Pictures are turned upright by the file's display matrix (a phone held sideways). Colours follow the file's matrix
    and range; more than 8 bits are rounded to 8, grey gets three equal channels, and an alpha channel is dropped. Times
    are the file's own, also at a variable rate, counted from its beginning; they always rise. Pixels are those of the
    file, even if it says that they are not square. Of several video tracks it takes the one that a player shows; a
    cover picture does not count.

    A frame that cannot be decoded is skipped, and a file that ends before its announced end is used up to there; each
    with a warning of one line.

    Args:
        path: a file, or an address such as rtsp://... or http://....

    Attributes:
        address: of a stream, with the password that messages do not show; empty for a file.
        first_packet: time and content of the first picture of the last reading, as the file has them.
        has_clock: the times are the file's; otherwise they follow from the rate, which may be guessed.
        broke_off: the last reading of a file at an address did not reach its end.

    Raises:
        VideoError: if there is no such file, nothing answers, or there is no video in it; on iteration, if no frame can
            be read.
    """

    def __init__(self, path: str | os.PathLike):
        self.address = _address(str(path)) if is_address(str(path)) else ""
        self.path = Path(path)
        self._counts: dict[int, int] = {}  # pictures of each track, probed once
        self._container: av.container.InputContainer | None = self.open()
        stream = self.pick_stream(self._container)
        self.name = stream_name(self.address) if self.address else self.path.stem
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        self.fps = rate if 0 < rate < 1000 else DEFAULT_FPS
        seconds = _duration(self._container, stream)
        self.total = stream.frames or (max(1, round(seconds * self.fps)) if seconds else None)
        self.live = bool(self.address) and self.total is None
        self.has_clock = self._container.format.name not in _WITHOUT_CLOCK
        self.first_packet: tuple[int | None, bytes] | None = None
        self.broke_off = False

    def __str__(self) -> str:
        return without_secrets(self.address) or str(self.path)

    def __iter__(self) -> Generator[Frame, None, None]:
        container, self._container = self._container or self.open(), None
        self.first_packet, self.broke_off = None, False
        with container:
            yield from Decoding(self, container, self.pick_stream(container)).frames()

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def open(self) -> av.container.InputContainer:
        """Open the file or stream once more.

        Raises:
            VideoError: if it cannot be opened.
        """
        if not self.address:
            if not self.path.is_file():
                raise VideoError(f"there is no video file {self}")
            if not self.path.stat().st_size:
                raise VideoError(f"the video {self} is empty (0 bytes); copy or record it again")
            if _is_animated_webp(self.path):
                raise VideoError(f"{self} is an animated WebP, which FFmpeg cannot read; save it as a GIF or MP4")
        try:
            if self.address:
                return av.open(self.address, timeout=_TIMEOUT, options=_STREAM)
            return av.open(file_name(self.path))
        except (OSError, av.FFmpegError, ValueError) as error:
            if self.address:
                reason = _reason(error)
                raise VideoError(f"the stream {self} cannot be opened: {reason}") from None  # which has the password
            if isinstance(error, PermissionError):
                raise VideoError(f"the video {self} cannot be read: {_reason(error)}") from error
            if self.path.name.startswith("._"):  # macOS writes them on disks of other systems
                twin = self.path.with_name(self.path.name[2:])
                raise VideoError(f"{self} is no video but what macOS notes about one; give {twin}") from error
            raise VideoError(
                f"{self} is not a video that can be read; is it cut off, damaged, or of another kind?"
            ) from error

    def pick_stream(self, container: av.container.InputContainer) -> VideoStream:
        """The track to be shown.

        Raises:
            VideoError: if there is none; the container is then closed.
        """
        # The cover of an album is a video stream too, as is the preview that drones and phones write.
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if len(streams) > 1 and not self.address:
            self._counts = self._counts or self._count_pictures()
            streams = [s for s in streams if self._counts.get(s.index, 0) > 1] or streams
        best = container.streams.best("video")
        if not streams:
            kinds = " and ".join(sorted({stream.type for stream in container.streams} - {"video"}))
            container.close()
            raise VideoError(f"{self} has no video in it, only {kinds or 'nothing'}")
        return next((stream for stream in streams if stream is best), streams[0])

    def _count_pictures(self) -> dict[int, int]:
        """The number of pictures of each track, by its index, up to the place where all but one are known to have
        several."""
        counts: dict[int, int] = {}
        with contextlib.suppress(OSError, av.FFmpegError), self.open() as container:
            for number, packet in enumerate(container.demux(video=tuple(range(len(container.streams.video))))):
                if packet.size:
                    counts[packet.stream_index] = counts.get(packet.stream_index, 0) + 1
                if number >= _PROBED or min(counts.values(), default=0) > 1 < len(counts):
                    break
        return counts


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
        if (
            kind != self._kind
        ):  # not of every picture: PyAV keeps one whose side data were read until a garbage collection
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
        announced, seconds = self._stream.frames, _duration(self._container, self._stream)
        known = self._given + self._lost + self._left_out + len(self._missing)
        # Files that announce a number of frames also have an exact end; others have not. Neither alone tells: AVI
        # counts empty positions, and some files show their last picture for a while.
        slack = 0.5 / self._video.fps if announced else 1.5 / self._video.fps + 0.02 * (seconds or 0)
        early = (known < announced or not announced) and seconds is not None and self._end < seconds - slack
        of = f" of {announced}" if announced else ""
        why = f" ({_reason(failure)})" if failure else ""
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


class RisingTimes:
    """Turns the times of pictures into times that rise, as a player shows them.

    A picture without a time follows the one before it after one step. Where times begin again, as in files that were
    joined, they go on from there. A single picture that is out of order is shown after the one before it, and the
    others keep their times.

    Args:
        step: seconds between pictures of no known time.
        jump: longer gaps are joints as well.
    """

    def __init__(self, step: float, jump: float):
        self._step, self._jump = step, jump
        self._last: float | None = None  # time given last
        self._newest: float | None = None  # latest time of the part that is being read
        self._offset = 0.0  # of this part
        self._before: tuple[float, float] | None = None  # the part before, if this one has a single picture

    def __call__(self, time: float | None) -> float:
        if time is None:
            self._last = 0.0 if self._last is None else self._last + self._step
        elif self._last is None or self._newest is None:
            self._newest = time
            self._last = time if self._last is None else max(time, self._last + self._step)
            self._offset = self._last - time
        else:
            if self._before is not None:
                newest, offset = self._before
                if newest < time <= newest + abs(time - self._newest):
                    self._newest, self._offset = newest, offset
                self._before = None
            if not self._newest < time <= self._newest + self._jump:
                self._before = (self._newest, self._offset)
                self._offset = self._last + self._step - time
            self._newest = time
            shown = time + self._offset
            self._last = shown if shown > self._last else self._last + self._step / 4
        return self._last


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


def _duration(container: av.container.InputContainer, stream: VideoStream) -> float | None:
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


def _is_animated_webp(path: Path) -> bool:
    if path.suffix.lower() != ".webp":
        return False
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return b"ANIM" in file.read(64)
    return False


def _address(text: str) -> str:
    """An address with its scheme in small letters, as FFmpeg wants it.

    Raises:
        VideoError: if it has no host, or a port that cannot be.
    """
    scheme, _, rest = text.partition("://")
    address = f"{scheme.lower()}://{rest}"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:  # which can have a part of the password
        why = f" ({error})" if "range" in str(error) else ""
        raise VideoError(
            f"{without_secrets(text)} is no address of a stream{why}; give one such as rtsp://host:554/path, "
            "and write / # ? in a password as %2F %23 %3F"
        ) from None
    if not parts.hostname and scheme.lower() != "file" or port == 0:
        raise VideoError(f"{without_secrets(text)} is no address of a stream; give one such as rtsp://host:554/path")
    return address


def stream_name(address: str) -> str:
    """A short name of a stream, without user and password."""
    parts = urlsplit(address)
    return PurePosixPath(unquote(parts.path)).stem or parts.hostname or "stream"


def _reason(error: Exception) -> str:
    return without_secrets(getattr(error, "strerror", None) or str(error) or type(error).__name__)
