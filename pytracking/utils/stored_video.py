"""The frames of a video file in any order, such as a part of it, every tenth frame, or from the last to the first."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from functools import cached_property
from itertools import chain, dropwhile, pairwise

import av
import numpy as np

from pytracking.utils.frame_source import Frame, warn
from pytracking.utils.video import Video
from pytracking.utils.video_decoding import Decoding, NumberedPacket, packet_number
from pytracking.utils.video_index import Anchor, VideoIndex, index_video, mark_of, seek_time

_CACHE = 256 * 2**20  # bytes of decoded pictures that are kept when reading backwards,
_LEAST, _MOST = 8, 512  # but so many of them in any case, and at most
_PATIENCE = 10  # times: a warning is given if reading backwards decodes each picture so often


class StoredVideo:
    """Reads frames of a video file by their index. They are those that the :class:`Video` itself gives.

    It seeks to the key frame before and decodes from there. Backwards it decodes forward in pieces, and keeps
    at most 256 MB of pictures.

    Args:
        video: a file.
    """

    def __init__(self, video: Video):
        self._video = video

    def __len__(self) -> int:
        return len(self.index.times)

    @cached_property
    def index(self) -> VideoIndex:
        """Of the whole file; it takes about a second and a half for an hour of video.

        Raises:
            VideoError: if the file cannot be opened, or no frame in it can be read.
        """
        return index_video(self._video)

    @property
    def times(self) -> Sequence[float]:
        """(N,) seconds of each frame."""
        return self.index.times

    def read(self, frames: range) -> Generator[Frame, None, None]:
        """The frames with these indices, in the order of the range. A frame that cannot be decoded is skipped, with a
        warning of one line.

        Raises:
            VideoError: if the file cannot be opened any more.
        """
        rest = frames
        with closing(_Reading(self._video, self.index)) as reading:
            for frame, image in reading.upwards(frames) if frames.step > 0 else reading.downwards(frames):
                place = rest.index(frame)
                self._say_missing(rest[:place])
                rest = rest[place + 1 :]
                yield Frame(image, self.index.times[frame], frame)
            self._say_missing(rest)

    def _say_missing(self, frames: range) -> None:
        if not frames:
            return
        first, last = min(frames[0], frames[-1]), max(frames[0], frames[-1])
        first_time, last_time = (f"{self.index.times[frame]:.2f}" for frame in (first, last))
        which, where, end = f"frame {first + 1}", first_time, "is skipped"
        if first != last:
            which, where, end = f"frames {first + 1} to {last + 1}", f"{first_time} to {last_time}", "are skipped"
        warn(f"{self._video}: {which}, at {where} s, cannot be decoded and {end}")


class _Reading:
    """One reading of some frames."""

    def __init__(self, video: Video, index: VideoIndex):
        self._video, self._index = video, index
        self._container: av.container.InputContainer | None = None

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def upwards(self, frames: range) -> Iterator[tuple[int, np.ndarray]]:
        index = self._index
        while frames:
            start = index.anchor(frames[0])
            for frame, picture, decoding in self._decoded(start, frames[-1]):
                while frames and frames[0] < frame:  # it did not come
                    frames = frames[1:]
                if not frames:
                    return
                if frame == frames[0]:
                    yield frame, decoding.image(picture)
                    frames = frames[1:]
                if frames and index.anchor(frames[0]) > index.anchor(frame) + 1:
                    break  # seeking is faster than decoding what nobody wants
            else:
                return

    def downwards(self, frames: range) -> Iterator[tuple[int, np.ndarray]]:
        index = self._index
        capacity = self._capacity()
        self._warn_if_slow(frames, capacity)
        while frames:
            start = index.anchor(frames[0])
            while start and frames[0] - index.anchors[start - 1].frame < capacity:
                start -= 1
            lowest = max(index.anchors[start].frame, frames[-1])
            piece = frames[: min(capacity, (frames[0] - lowest) // -frames.step + 1)]
            kept = {each[0]: each for each in self._decoded(start, piece[0]) if each[0] in piece}
            for frame in sorted(kept, reverse=True):
                _, picture, decoding = kept.pop(frame)
                yield frame, decoding.image(picture)
            frames = frames[len(piece) :]

    def _capacity(self) -> int:
        """The number of pictures that are kept."""
        with self._video.open() as container:
            context = self._video.pick_stream(container).codec_context
            bits = context.format.padded_bits_per_pixel if context.format else 24
            return int(np.clip(_CACHE * 8 // max(1, context.width * context.height * bits), _LEAST, _MOST))

    def _warn_if_slow(self, frames: range, capacity: int) -> None:
        starts = [anchor.frame for anchor in self._index.anchors]
        longest = max(after - before for before, after in pairwise([*starts, len(self._index.times)]))
        longest = min(longest, abs(frames[0] - frames[-1]) + 1)
        times = longest / (2 * capacity)
        if times > _PATIENCE:
            warn(
                f"{self._video} has no key frame for {longest} frames, so that reading it backwards decodes each about "
                f"{times:.0f} times; a copy with more of them is faster (ffmpeg -i ... -g 50 copy.mp4)"
            )

    def _decoded(self, start: int, last: int) -> Iterator[tuple[int, av.VideoFrame, Decoding]]:
        """The pictures from an anchor to a frame, with their indices."""
        anchor = self._index.anchors[start]
        decoding, packets = self._begin(anchor)
        first = None
        for picture in decoding.pictures(packets):
            frame = self._index.frame_of.get(packet_number(picture), -1)
            if frame < anchor.frame:  # shown before the key frame, but stored after it
                continue
            first = frame if first is None else first
            if first > anchor.frame and start:  # it takes more than this key frame
                break
            yield frame, picture, decoding
            if frame >= last:
                return
        if start and first != anchor.frame:
            yield from (each for each in self._decoded(start - 1, last) if each[0] >= anchor.frame)

    def _begin(self, anchor: Anchor) -> tuple[Decoding, Iterator[NumberedPacket]]:
        """The packets from an anchor on, with their numbers in the file, and what decodes them."""
        if anchor.seek is not None:
            with suppress(OSError, av.FFmpegError):
                decoding = self._decoding(anchor.seek)
                packets = decoding.packets()
                for each in packets:
                    if mark_of(each.packet) == anchor.mark:
                        shift = anchor.packet - each.number
                        following = chain([each], packets)
                        return decoding, (one._replace(number=one.number + shift) for one in following)
                    if each.packet.is_keyframe and seek_time(each.packet) > anchor.seek:
                        break
        self.close()
        decoding = self._decoding(None)
        return decoding, dropwhile(lambda each: each.number < anchor.packet, decoding.packets())

    def _decoding(self, seek: int | None) -> Decoding:
        """Reads from this time on, or from the beginning."""
        container = self._container = self._container or self._video.open()
        stream = self._video.pick_stream(container)
        if seek is not None:
            container.seek(seek, stream=stream)
        return Decoding(self._video, container, stream, say=lambda text: None)
