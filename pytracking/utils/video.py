"""Video files and streams: which track is shown, and what is said where there is none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import av
from av.stream import Disposition
from av.video.stream import VideoStream

from ltr.common.secrets_in_text import without_secrets
from pytracking.utils.frame_source import DEFAULT_FPS, Frame, FrameSource, VideoError, reason_of, warn
from pytracking.utils.video_decoding import Decoding, duration_of

__all__ = [
    "DEFAULT_FPS",
    "Frame",
    "FrameSource",
    "Video",
    "VideoError",
    "file_name",
    "is_address",
    "stream_name",
    "warn",
]

_PROBED = 500  # packets that are read to tell a cover from a video
_WITHOUT_CLOCK = frozenset({"mpjpeg", "mjpeg", "h264", "hevc"})
"""Formats that hold pictures only."""

_TIMEOUT = 10.0  # seconds without a sign of life after which a stream is given up
_STREAM = {
    "rtsp_transport": "tcp",  # over UDP, lost packets smear the picture
    "reconnect": "1",  # a file of a web server goes on at its place
    "reconnect_delay_max": "4",  # seconds, after 0 and 1; then it ends early
}


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
        seconds = duration_of(self._container, stream)
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
                reason = reason_of(error)
                raise VideoError(f"the stream {self} cannot be opened: {reason}") from None  # which has the password
            if isinstance(error, PermissionError):
                raise VideoError(f"the video {self} cannot be read: {reason_of(error)}") from error
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
        known = [s for s in streams if s.codec_context is not None]
        if streams and not known:
            container.close()
            raise VideoError(f"{self} has a video in an unknown format; convert it, or copy it again")
        streams = known
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
