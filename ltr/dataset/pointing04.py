"""Pointing'04: head pose as tilt (our pitch) and pan (our yaw) on a grid of angles; there is no roll.

The published layout has 15 people in two series of 93 images (384 x 288)::

    root/Person01/person01268+30-60.jpg      person 01, series 2, image 68, tilt +30, pan -60
    root/Person01/person01268+30-60.txt      the face: centre x, centre y, width and height in pixels

Copies spell Personne01/personne01268+30-60.jpg, in any letter case, or wrap the folders into another one. They are read
alike.

The other layout has cropped faces and a table::

    root/crops/person01268+30-60.jpg
    root/crops.csv                           columns file, person, series, tilt, pan

The signs agree with ours: a positive pan turns to the image's left, a positive tilt looks up. Images of one person are
alike, so a split must separate people: `images.leave_out(["01", "02"])`.
"""

from __future__ import annotations

import re
from pathlib import Path

from ltr.dataset.base import DatasetError, read_lines
from ltr.dataset.labelled import LabelledImages, folders_with, list_files, read_table, square_around, whole_number

MARGIN = 1.3
"""Side of a crop over the longer side of the face box."""

_FOLDER = r"(?i)person(?:ne)?_?\d\d"
_NAME = re.compile(r"(?i)person(?:ne)?_?(\d\d)(\d)(\d\d)([+-]\d{1,2})([+-]\d{1,2})\.jpe?g")
_SUFFIXES = (".txt", ".TXT")
_TARGETS = ("yaw", "pitch")


def read_pointing04(root: str | Path) -> LabelledImages:
    """Reads images in the published layout, each cropped to a square of :data:`MARGIN` times its face box.

    Images with a malformed name or without a .txt are skipped and listed as problems.

    Raises:
        DatasetError: if there is no folder Person01, Person02, ..., no image, or a .txt without four numbers.
    """
    files, labels, boxes, groups, problems = [], [], [], [], []
    for folder in [path for parent in folders_with(root, _FOLDER) for path in list_files(parent, _FOLDER)]:
        for path in list_files(folder, r"(?i)[^.].*\.jpe?g"):
            match = _NAME.fullmatch(path.name)
            annotation = next((path.with_suffix(s) for s in _SUFFIXES if path.with_suffix(s).is_file()), None)
            annotation = annotation or path.with_suffix(_SUFFIXES[0])
            if not match:
                problems.append(f"{path} is skipped: its name is not personPPSNN+tilt+pan.jpg")
            elif not annotation.is_file():
                problems.append(f"{path} is skipped: {annotation} is missing")
            else:
                files.append(path)
                labels.append(_angles(match[5], match[4], str(path)))
                boxes.append(_face(annotation))
                groups.append(match[1])
    return LabelledImages(f"Pointing'04 in {root}", files, labels, _TARGETS, groups, boxes, problems=problems)


def read_pointing04_crops(root: str | Path) -> LabelledImages:
    """Reads the faces of crops.csv.

    Raises:
        DatasetError: if the table is missing or malformed, an angle is out of range, or an image is missing or occurs
            twice.
    """
    root = Path(root)
    table = root / "crops.csv"
    files, labels, groups = [], [], []
    columns = ("file", "person", "series", "tilt", "pan")
    for number, row in read_table(table, "pointing04", columns, unique="file"):
        file, person, _, tilt, pan = row
        where = f"{table}, line {number}"
        labels.append(_angles(pan, tilt, where))
        groups.append(f"{whole_number(person, 1, 99, 'a person', where):02}")
        files.append(root / "crops" / file)
        if not files[-1].is_file():
            raise DatasetError(f"{where}: the image {files[-1]} does not exist")
    return LabelledImages(f"Pointing'04 in {root}", files, labels, _TARGETS, groups)


def _angles(pan: str, tilt: str, where: str) -> list[int]:
    """Yaw and pitch in degrees."""
    return [whole_number(pan, -90, 90, "a pan", where), whole_number(tilt, -90, 90, "a tilt", where)]


def _face(path: Path) -> tuple[int, int, int]:
    """The square around the face in a .txt file: the image's name, a blank line, 'Face' and four numbers."""
    lines = read_lines(path, "pointing04")
    start = next((k for k, line in enumerate(lines) if line.strip() == "Face"), None)
    if start is None or len(lines) != start + 5:
        raise DatasetError(f"{path}: expected a line 'Face' and four lines: centre x, centre y, width, height")
    values = [
        whole_number(line.strip(), 0, 10000, "a face's centre or size", f"{path}, line {number}")
        for number, line in enumerate(lines[start + 1 :], start + 2)
    ]
    x, y, width, height = values
    if not (width and height):
        raise DatasetError(f"{path}, line {start + 4}: the face has no area ({width} x {height} pixels)")
    return square_around(x, y, MARGIN * max(width, height), path)
