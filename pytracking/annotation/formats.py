"""The formats that results can be exported to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ltr.common.files import make_writable, writing
from pytracking.annotation.coco import write_coco
from pytracking.annotation.cvat import write_cvat
from pytracking.annotation.mot import write_mot
from pytracking.annotation.tracks import VideoTracks


class ExportFormat(NamedTuple):
    """How one format is written, and the ending of its files."""

    write: Callable[[VideoTracks, Path], None]
    suffix: str


EXPORT_FORMATS = {
    "cvat": ExportFormat(write_cvat, ".xml"),
    "mot": ExportFormat(write_mot, ".zip"),
    "coco": ExportFormat(write_coco, ".json"),
}


def export_tracks(video: VideoTracks, formats: list[str], folder: Path, name: str) -> list[Path]:
    """Write the objects of one video to {folder}/{format}/{name}, with the ending of each format.

    Args:
        formats: keys of :data:`EXPORT_FORMATS`.

    Returns:
        The files.

    Raises:
        UserError: if one cannot be written.
    """
    files = []
    for key in dict.fromkeys(formats):
        file = folder / key / f"{name}{EXPORT_FORMATS[key].suffix}"
        with writing(file, "choose another folder with --out"):
            make_writable(file.parent)
            EXPORT_FORMATS[key].write(video, file)
        files.append(file)
    return files
