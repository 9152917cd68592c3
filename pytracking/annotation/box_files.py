"""The file of boxes that a user names, in any format, also in a zip or a folder as annotation tools give them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ltr.common.files import check_regular
from pytracking.annotation.box_table import read_box_table
from pytracking.annotation.coco import read_coco
from pytracking.annotation.cvat import read_cvat
from pytracking.annotation.mot import read_mot
from pytracking.annotation.tracks import AnnotationError, VideoTracks

_LARGEST = 1 << 30  # bytes of a member of a zip file, unpacked
_READERS: dict[str, Callable[[Path], list[VideoTracks]]] = {
    ".xml": read_cvat,
    ".json": read_coco,
    ".txt": read_mot,
    ".csv": read_box_table,
    ".tsv": read_box_table,
}
_KINDS = "CVAT (.xml), MOTChallenge (.txt), COCO (.json), a table (.csv), or a .zip or folder with one of them"
_BESIDE = ("labels.txt", "train.txt", "val.txt", "default.txt")  # text files of exports that hold no boxes


def read_boxes(path: Path) -> list[VideoTracks]:
    """The objects of each video in a file of boxes.

    Raises:
        AnnotationError: if there is no such file, it is of no kind that is known, or it cannot be understood.
    """
    if not path.exists():
        raise AnnotationError(f"there is no file of boxes {path}")
    try:
        if path.is_dir():
            return read_boxes(_only([file for file in sorted(path.rglob("*")) if _may_hold_boxes(file.name)], path))
        check_regular(path)
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        return _read(path)
    except OSError as error:
        raise AnnotationError(f"{path} cannot be read: {error.strerror or error}") from error


def _read(path: Path) -> list[VideoTracks]:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise AnnotationError(f"{path} is no file of boxes that is known: give {_KINDS}")
    return reader(path)


def _read_zip(path: Path) -> list[VideoTracks]:
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.file_size > _LARGEST for member in archive.infolist()):
                raise AnnotationError(f"{path} unpacks to more than a gigabyte in one file: it is not read")
            members = [member for member in archive.namelist() if _may_hold_boxes(member.rpartition("/")[2])]
            inside: list[Any] = [zipfile.Path(archive, member) for member in members]  # as a Path to the readers
            return _read(_only(inside, path))
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise AnnotationError(f"{path} is no zip file that can be read ({error})") from error


def _may_hold_boxes(name: str) -> bool:
    suffix = name[name.rfind(".") :].lower()
    return suffix in _READERS and not name.startswith(".") and name.lower() not in _BESIDE


def _only(files: list[Path], where: Path) -> Path:
    """The one file of boxes; of MOTChallenge's `gt.txt` and `det.txt` the first."""
    truths = [file for file in files if file.name == "gt.txt"]
    found = truths or files
    if not found:
        raise AnnotationError(f"{where} has no file of boxes in it: it needs {_KINDS}")
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:4])
        raise AnnotationError(f"{where} has several files that may hold the boxes ({names}); give one of them")
    return found[0]
