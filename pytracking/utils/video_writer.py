"""Writing frames to a video file, by PyAV: OpenCV's wheels cannot write H.264, which browsers, phones and office
programs all play."""

from __future__ import annotations

import contextlib
import math
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from ltr.common.locks import locked
from pytracking.utils.drawing import fit_in
from pytracking.utils.video import DEFAULT_FPS, VideoError, file_name

_TICKS = 90_000  # in a second, at least
_BT709 = 1  # the number of BT.709 in the tables of ITU-T H.273


class VideoWriter:
    """Writes frames to an .mp4 file (H.264).

        with VideoWriter("out.mp4", fps=25) as video:
            video.add(image)

    The file gets its name when it is closed. Until then it is `{stem}.partial.mp4`, written in fragments, so that even
    a killed process or a full disk leaves a file that plays. An exception inside the ``with`` statement removes it, and
    leaves the file of an earlier run as it was; call :meth:`close` to keep what was written.

    The video has exactly the size of its first frame. Even sizes are written as yuv420p, which every player knows. Odd
    sizes cannot be, since H.264 crops 4:2:0 pictures by two pixels at a time: such videos are yuv444p, which VLC, mpv,
    ffmpeg, OpenCV and Chromium play, but not every phone. Colours are BT.709, and marked as such.

    Args:
        path: the file, ending in .mp4; its folder is created if it does not exist.
        fps: frames per second of frames that are added without a time.

    Attributes:
        frames: number of frames in the file, once it is closed.

    Raises:
        VideoError: if the file cannot be written; if possible, before the first frame.
    """

    def __init__(self, path: str | os.PathLike, fps: float = DEFAULT_FPS):
        self.path = Path(path)
        self.frames = 0
        self._partial = self.path.with_name(f"{self.path.stem}.partial.mp4")
        self._rate = max(Fraction(fps).limit_denominator(1001), Fraction(1, 1001))
        # Whole ticks for a frame, so that a constant rate stays exactly that.
        self._time_base = Fraction(1, self._rate.numerator * math.ceil(_TICKS / self._rate.numerator))
        self._step = round(1 / self._rate / self._time_base)
        self._container: av.container.OutputContainer | None = None
        self._stream: av.video.stream.VideoStream
        self._convert = VideoReformatter()  # kept, since making one takes as long as a picture
        self._start_time: float | None = None
        self._pts = -self._step
        self._added = 0
        self._failed = False
        self._only = contextlib.ExitStack()  # the lock of this writer
        self._check()

    def _check(self) -> None:
        if self.path.suffix.lower() != ".mp4":
            raise VideoError(f"the video {self.path} cannot be written: give it a name that ends in .mp4")
        if self.path.is_dir():
            raise VideoError(f"the video {self.path} cannot be written: it is a folder")
        made = [folder for folder in self.path.parents if not folder.exists()]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._partial.write_bytes(b"")
            self._partial.unlink()
        except OSError as error:
            raise self._failure(error) from error
        finally:
            with contextlib.suppress(OSError):
                for folder in made:  # created again for the first frame
                    folder.rmdir()

    def __enter__(self) -> VideoWriter:
        return self

    def add(self, image: np.ndarray, time: float | None = None) -> None:
        """Add a frame, uint8 (H, W, 3) RGB. One of another size than the first is scaled into it, between black bars.

        Args:
            time: seconds at which it is shown, on a clock that all frames share; None for one step of `fps` after the
                last frame.
        """
        try:
            if self._container is None:
                self._start(image.shape[1], image.shape[0])
            width, height = self._stream.width, self._stream.height
            image = fit_in(image, width, height)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame = self._convert.reformat(
                frame,
                format=self._stream.pix_fmt,
                src_colorspace=Colorspace.ITU709,
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
            )
            frame.pts, frame.time_base = self._next_pts(time), self._time_base
            self._mux(self._stream.encode(frame))
            self._added += 1
        except (OSError, av.FFmpegError) as error:
            self._failed = True
            raise self._failure(error) from error

    def _next_pts(self, time: float | None) -> int:
        pts = self._pts + self._step
        if time is not None:
            if self._start_time is None:
                self._start_time = time - float(pts * self._time_base)
            # Two frames cannot have one time; the wrong times of a damaged file must not end the run.
            pts = max(self._pts + 1, round((time - self._start_time) / self._time_base))
        self._pts = pts
        return pts

    def _start(self, width: int, height: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(f".{self.path.name}.lock")
        self._only.enter_context(locked(lock, self._refuse, remove=True))
        options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
        self._container = av.open(file_name(self._partial), "w", format="mp4", options=options)
        h264 = "libx264" in av.codecs_available
        self._stream = self._container.add_stream("libx264" if h264 else "mpeg4", rate=self._rate)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv444p" if h264 and (width % 2 or height % 2) else "yuv420p"
        context = self._stream.codec_context
        context.time_base = self._time_base
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG
        # At least one key frame in two seconds: fragments start there, and players can jump there. Without frames that
        # refer to later ones (B-frames), the first frame's time is zero in every player.
        context.gop_size, context.max_b_frames = max(1, round(2 * self._rate)), 0
        self._stream.options = {"crf": "18", "preset": "veryfast"} if h264 else {"qscale": "3"}

    def _refuse(self) -> None:
        raise VideoError(f"another process is writing the video {self.path}; wait for it, or choose another name")

    def _mux(self, packets: list[av.Packet]) -> None:
        assert self._container is not None
        for packet in packets:
            packet.duration = packet.duration or round(self._step * self._time_base / packet.time_base)
            self._container.mux(packet)

    def close(self) -> None:
        """Finish the file with the frames added so far, also after a frame that could not be written."""
        if self._container is None:
            self._only.close()
            return
        failure: Exception | None = None
        with self._only:
            for step in (self._flush, self._container.close, self._publish):
                try:
                    step()
                except (OSError, av.FFmpegError) as error:
                    failure = failure or error
        self._container = None
        if self._failed:  # raised when it happened
            return
        if failure:
            raise self._failure(failure) from failure
        if self.frames < self._added:  # the very last write fails silently
            raise VideoError(
                f"the video {self.path} has only {self.frames} of its {self._added} frames, for more could not be "
                "written; is the disk full?"
            )

    def _flush(self) -> None:
        if not self._failed:
            self._mux(self._stream.encode())

    def _publish(self) -> None:
        """Copy the partial file to its own name, with its index in front, so that a browser can start at once. If the
        disk has no room for a copy, rename it: its fragments play as well."""
        whole = self.path.with_name(f".{self.path.stem}.copy.mp4")  # perhaps left by a process that was killed
        try:
            self.frames = _copy(self._partial, whole)
            os.replace(whole, self.path)
            self._partial.unlink()
        except (OSError, av.FFmpegError):
            whole.unlink(missing_ok=True)
            self.frames = _cut(self._partial)
            if not self.frames:  # not one frame got to the disk
                self._partial.unlink()
            else:
                os.replace(self._partial, self.path)

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            self.close()
            return
        with self._only:
            if self._container is not None:
                with contextlib.suppress(OSError, av.FFmpegError):
                    self._container.close()
                self._partial.unlink(missing_ok=True)

    def _failure(self, error: Exception) -> VideoError:
        return VideoError(f"the video {self.path} cannot be written: {getattr(error, 'strerror', None) or error}")


def _copy(source: Path, target: Path) -> int:
    """Copy the pictures of one video file to another without re-encoding; returns their number."""
    count = 0
    with (
        av.open(file_name(source)) as old,
        av.open(file_name(target), "w", format="mp4", options={"movflags": "faststart"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.size and not packet.is_corrupt:
                packet.stream = stream
                new.mux(packet)
                count += 1
    if not count:
        raise OSError("no frame was written")
    return count


def _cut(path: Path) -> int:
    """Cut a broken last picture off a file of fragments; returns the number of whole pictures."""
    count, end = 0, None
    with contextlib.suppress(OSError, av.FFmpegError, IndexError), av.open(file_name(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.is_corrupt:
                end = packet.pos
            elif packet.size and end is None:
                count += 1
    if end is not None:
        os.truncate(path, end)
    return count
