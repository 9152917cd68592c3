"""Which packet of a video file holds which frame, and from which packets decoding can begin."""

from __future__ import annotations

import bisect
import contextlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple, cast

import av
import numpy as np

from pytracking.utils.video import Video
from pytracking.utils.video_decoding import JUMP, TRANSPORTS, Decoding

_IN_ORDER = frozenset("mjpeg png ffv1 ffvhuff huffyuv prores dnxhd rawvideo qtrle".split())
"""Codecs that store pictures in the order in which they are shown."""

_TIMED = frozenset("h264 hevc av1 vp9 mpeg2video".split())
"""Codecs whose every packet is one picture, unlike VP8 and MPEG-4, which have packets that show nothing by themselves.
"""


@dataclass(frozen=True)
class Anchor:
    """A key frame from which all later frames can be decoded.

    Attributes:
        frame: its index.
        packet: its number, counted from 0.
        seek: the time that finds it, in ticks of the stream; None if no time does.
        mark: tells its packet from all others; see :func:`mark_of`.
    """

    frame: int
    packet: int
    seek: int | None
    mark: tuple[int | None, ...]


@dataclass(frozen=True)
class VideoIndex:
    """The frames of a video file, with the indices and times that :class:`Video` gives them.

    Attributes:
        times: (N,) seconds, rising. Frames that cannot be decoded count.
        frame_of: the index of the frame in each packet; packets without one are missing.
        anchors: (K,) by frame; the first one stands for the beginning of the file.
    """

    times: Sequence[float]
    frame_of: dict[int, int]
    anchors: list[Anchor]

    def anchor(self, frame: int) -> int:
        """The number of the last anchor at or before a frame."""
        return max(0, bisect.bisect_right(self.anchors, frame, key=lambda anchor: anchor.frame) - 1)


def mark_of(packet: av.Packet) -> tuple[int | None, ...]:
    """What tells one packet from others, also after seeking: its place, size and time of showing."""
    return packet.pos, packet.size, packet.pts


def seek_time(packet: av.Packet | _Packet) -> int:
    """The time by which a packet is found."""
    return cast(int, packet.pts if packet.dts is None else packet.dts)


def index_video(video: Video) -> VideoIndex:
    """Index a file by reading its packets. Only where their times do not tell the order of the pictures, such as in
    joined files and old AVI files, all pictures are decoded too.

    Raises:
        VideoError: if the file cannot be opened, or no frame in it can be read.
    """
    with video.open() as container:
        stream = video.pick_stream(container)
        packets: list[_Packet] = []
        with contextlib.suppress(OSError, av.FFmpegError):  # what was read until then can be used
            packets.extend(_Packet.of(packet) for packet in container.demux(stream) if packet.size)
        codec, ticks = stream.codec_context.name, float(stream.time_base or Fraction(1, av.time_base))
        start = (container.start_time or 0) / av.time_base
        formats = set(container.format.name.split(","))
        jump = JUMP / ticks if TRANSPORTS & formats else math.inf
    telling = codec in _IN_ORDER or codec in _TIMED and "avi" not in formats  # AVI has the times of decoding only
    if telling and _are_ordered(packets, jump):
        shown = sorted((packet.pts, number) for number, packet in enumerate(packets) if not packet.discarded)
        frame_of = {number: frame for frame, (_, number) in enumerate(shown)}
        return VideoIndex([pts * ticks - start for pts, _ in shown], frame_of, _anchors(packets, frame_of))
    with video.open() as container:
        places = list(Decoding(video, container, video.pick_stream(container), say=lambda text: None).places())
    frame_of = {packet: frame for packet, frame, _ in places}
    known = [frame for _, frame, _ in places]
    times = np.interp(np.arange(known[-1] + 1), known, [time for _, _, time in places]).tolist()
    return VideoIndex(times, frame_of, _anchors(packets, frame_of))


class _Packet(NamedTuple):
    pts: Any
    dts: Any
    key: bool
    discarded: bool
    mark: tuple[int | None, ...]

    @classmethod
    def of(cls, packet: av.Packet) -> _Packet:
        return cls(packet.pts, packet.dts, packet.is_keyframe, packet.is_discard, mark_of(packet))


def _are_ordered(packets: list[_Packet], jump: float) -> bool:
    """Whether the pictures are shown in the order of their times, beginning with a key frame."""
    shown = [packet for packet in packets if not packet.discarded]
    if not shown or any(packet.pts is None or packet.dts is None for packet in packets):
        return False
    times = sorted(packet.pts for packet in shown)
    return (
        all(0 < after - before <= jump for before, after in itertools.pairwise(times))
        and all(before.dts < after.dts for before, after in itertools.pairwise(packets))
        and packets[0].key
        and min(packet.pts for packet in packets) == packets[0].pts
    )


def _anchors(packets: list[_Packet], frame_of: dict[int, int]) -> list[Anchor]:
    keys = [packet for packet in packets if packet.key]
    times = [seek_time(packet) for packet in keys]
    told = len({packet.mark for packet in packets}) == len(packets) and None not in times
    told = told and all(before < after for before, after in itertools.pairwise(times))
    anchors = [Anchor(0, 0, None, packets[0].mark)]
    before = -1  # the latest frame in the packets so far
    for number, packet in enumerate(packets):
        frame = frame_of.get(number, -1)
        if packet.key and frame > before and number:
            anchors.append(Anchor(frame, number, seek_time(packet) if told else None, packet.mark))
        before = max(before, frame)
    return anchors
