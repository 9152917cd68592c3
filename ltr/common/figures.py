"""Writing figures of Matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ltr.common.files import replace_file


def save_figure(figure: Figure, path: Path, **options: Any) -> None:
    """Write a figure whole or not at all, in the format that the file's ending names.

    Args:
        figure: is drawn.
        path: of the file; its folder exists.
        options: of Matplotlib's `savefig`.

    Raises:
        OSError: if it cannot be written.
    """
    replace_file(path, lambda temporary: figure.savefig(temporary, format=path.suffix[1:], **options))
