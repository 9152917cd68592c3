"""A run as a video file."""

from __future__ import annotations

import os

from pytracking.utils.video import DEFAULT_FPS
from pytracking.utils.video_writer import VideoWriter
from pytracking.view.picture import draw_scene
from pytracking.view.scene import NOTHING, Scene, Wish


class FilmView:
    """Writes every frame, with what :func:`draw_scene` draws, to an .mp4 file: as many frames as it is shown, each at
    its own time where the scenes have one. A run that is cut short leaves a film of what it did.

    Args:
        path: the file, see :class:`VideoWriter`.
        fps: frames per second of scenes without a time.
        density: whether to ask for the density and draw it.
        least_height: pixels; smaller frames are enlarged, by a whole number, to about this. 0 keeps the size.

    Raises:
        VideoError: the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike, fps: float = DEFAULT_FPS, density: bool = False, least_height: int = 0):
        self.writer = VideoWriter(path, fps)
        self._density = density
        self._least_height = least_height

    def wish(self) -> Wish:
        return Wish(density=True) if self._density else NOTHING

    def show(self, scene: Scene) -> bool:
        scale = max(1, round(self._least_height / scene.image.shape[0]))
        self.writer.add(draw_scene(scene, scale, self._density), scene.time)
        return True

    def close(self, complete: bool) -> None:
        self.writer.close()
