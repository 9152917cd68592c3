"""A run as a folder of pictures."""

from __future__ import annotations

import os
from pathlib import Path

from ltr.common.errors import UserError
from ltr.common.files import make_writable
from ltr.common.images import write_image
from pytracking.view.picture import draw_scene
from pytracking.view.scene import NOTHING, Scene, Wish


class ImageView:
    """Writes every frame, with what :func:`draw_scene` draws, to a folder: 000001.jpg is the first.

    Args:
        folder: made where it does not exist.
        density: whether to ask for the density and draw it.

    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(self, folder: str | os.PathLike, density: bool = False):
        self.folder = Path(folder)
        self._density = density
        try:
            make_writable(self.folder)
        except OSError as error:
            raise UserError(f"the folder {self.folder} for the pictures cannot be written: {error.strerror}") from error

    def wish(self) -> Wish:
        return Wish(density=True) if self._density else NOTHING

    def show(self, scene: Scene) -> bool:
        write_image(self.folder / f"{scene.index + 1:06d}.jpg", draw_scene(scene, density=self._density))
        return True

    def close(self, complete: bool) -> None:
        """Every picture is on the disk already."""
