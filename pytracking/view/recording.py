"""A run recorded on disk: as a video file, or as a folder of pictures."""

from __future__ import annotations

import os
from pathlib import Path

from ltr.common.errors import UserError
from ltr.common.files import make_writable
from ltr.common.images import write_image
from pytracking.utils.drawing import whole_scale
from pytracking.utils.video import DEFAULT_FPS
from pytracking.utils.video_writer import VideoWriter
from pytracking.view.base import Request, TrackedFrame
from pytracking.view.picture import draw_frame


class VideoView:
    """Writes every frame, drawn by :func:`draw_frame`, to an .mp4 file, each at its own time if it has one.

    An interrupted run leaves a video of the frames it reached.

    Args:
        path: the file, see :class:`VideoWriter`.
        fps: frames per second, for frames without a time.
        density: request the density and draw it.
        enlarged: draw small frames larger, see :func:`whole_scale`.

    Raises:
        VideoError: if the file cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike, fps: float = DEFAULT_FPS, density: bool = False, enlarged: bool = False
    ):
        self.writer = VideoWriter(path, fps)
        self._density = density
        self._enlarged = enlarged

    def request(self) -> Request:
        return Request(density=self._density)

    def show(self, frame: TrackedFrame) -> bool:
        scale = whole_scale(frame.image) if self._enlarged else 1
        self.writer.add(draw_frame(frame, scale, self._density), frame.time)
        return True

    def close(self, complete: bool) -> None:
        self.writer.close()


class ImageFolderView:
    """Writes every frame, drawn by :func:`draw_frame`, to a folder: 000001.jpg is the first.

    Args:
        folder: created if it does not exist.
        density: request the density and draw it.

    Raises:
        UserError: if the folder cannot be written.
    """

    def __init__(self, folder: str | os.PathLike, density: bool = False):
        self.folder = Path(folder)
        self._density = density
        try:
            make_writable(self.folder)
        except OSError as error:
            raise UserError(f"the folder {self.folder} for the pictures cannot be written: {error.strerror}") from error

    def request(self) -> Request:
        return Request(density=self._density)

    def show(self, frame: TrackedFrame) -> bool:
        write_image(self.folder / f"{frame.index + 1:06d}.jpg", draw_frame(frame, density=self._density))
        return True

    def close(self, complete: bool) -> None:
        """Do nothing: every picture is on disk already."""
