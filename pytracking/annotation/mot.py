"""MOTChallenge: a line `frame, id, x, y, w, h, confidence, class, visibility` for each object in each frame.

Frames, ids and pixels count from 1: the first pixel's corner is (1, 1). A frame in which an object is absent has no
line. A sequence is a folder with `gt/gt.txt` and `seqinfo.ini`; `gt/labels.txt` names the classes, one a line, which is
CVAT's and Datumaro's addition. The files that those two write count pixels from 0 and have no `seqinfo.ini`, by which
they are told apart. See motchallenge.net/instructions and arXiv:1603.00831.
"""

from __future__ import annotations

import configparser
import heapq
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ltr.common.files import replace_file
from pytracking.annotation.number_fields import finite, positive_box, whole
from pytracking.annotation.tracks import DEFAULT_LABEL, AnnotationError, ObjectTrack, TrackBox, VideoTracks

CLASSES = (
    "pedestrian", "person on vehicle", "car", "bicycle", "motorbike", "non motorized vehicle", "static person",
    "distractor", "occluder", "occluder on the ground", "occluder full", "reflection", "crowd",
)  # fmt: skip
"""The benchmark's own classes, from 1, where no `labels.txt` stands beside the file."""


# -- reading -----------------------------------------------------------------------------------------------------


def read_mot(path: Path) -> list[VideoTracks]:
    """The objects of a `gt.txt` or `det.txt`; detections without ids are objects of the first frame that has any.

    Lines whose confidence is 0 in a ground truth ('not considered') are left out. All boxes count as given.

    Raises:
        AnnotationError: if a line is none of the format.
    """
    rows = _rows(path)
    sequence = path.parent.parent
    info = _sequence_info(sequence / "seqinfo.ini")
    names = _text(path.parent / "labels.txt")
    labels = tuple(names.split("\n")) if names is not None else CLASSES
    origin = 0.0 if names is not None and not info else 1.0
    if all(row[1] == -1 for row in rows):  # detections: nothing says which are of one object
        first = min(row[0] for row in rows)
        numbered = enumerate((row for row in rows if row[0] == first), start=1)
        rows = [[row[0], number, *row[2:]] for number, row in numbered]
    boxes: dict[int, dict[int, TrackBox]] = {}
    classes: dict[int, str] = {}
    for values in rows:
        frame, name = whole(values[0], f"{path}: the frame", 1) - 1, whole(values[1], f"{path}: the id")
        where = f"{path}, frame {frame + 1}, object {name}"
        x, y, w, h = positive_box(values[2:6], where)
        if frame in boxes.setdefault(name, {}):
            raise AnnotationError(f"{where}: two lines of one object in one frame")
        boxes[name][frame] = TrackBox(frame, (x - origin, y - origin, w, h), given=True)
        number = values[7] if len(values) == 9 else 0.0  # ten columns have coordinates in the world there
        if 1 <= number <= len(labels):
            classes.setdefault(name, labels[int(number) - 1].strip())
    tracks = [
        ObjectTrack(
            name, classes.get(name) or DEFAULT_LABEL, tuple(boxes[name][frame] for frame in sorted(boxes[name]))
        )
        for name in sorted(boxes)
    ]
    return [VideoTracks(info.get("name"), tuple(tracks))]


def _rows(path: Path) -> list[list[float]]:
    text = _text(path)
    rows = []
    for number, line in enumerate((text or "").splitlines(), start=1):
        fields = [field for field in re.split(r"[,;\s]+", line.strip()) if field]
        if not fields:
            continue
        if not 6 <= len(fields) <= 10:
            raise AnnotationError(
                f"{path}, line {number}: MOTChallenge's lines are frame, id, x, y, w, h and up to four more, and "
                f"{line.strip()[:60]!r} has {len(fields)} values; for one box in the first frame give --box X Y W H"
            )
        values = [finite(field, f"{path}, line {number}: value {place}") for place, field in enumerate(fields, 1)]
        if len(values) == 9 and values[6] == 0 and path.name.startswith("gt"):
            continue
        rows.append(values)
    if not rows:
        raise AnnotationError(f"{path} has no box in it")
    return rows


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig").strip("\n") if path.is_file() else None
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path} is not a text file in UTF-8") from error


def _sequence_info(path: Path) -> dict[str, str]:
    """The entries of `seqinfo.ini`; none without that file."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(_text(path) or "")
    except configparser.Error as error:
        raise AnnotationError(f"{path} is no seqinfo.ini of MOTChallenge ({str(error).splitlines()[0]})") from error
    return dict(parser["Sequence"]) if "Sequence" in parser else {}


# -- writing -----------------------------------------------------------------------------------------------------


def write_mot(video: VideoTracks, path: Path) -> None:
    """Write a sequence of one video as a zip file.

    An id of 0, which MOTChallenge does not have, raises all ids by one.

    Raises:
        OSError: if the file cannot be written.
    """
    labels = video.labels()

    def write(copy: Path) -> None:
        with zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("gt/gt.txt", "w", force_zip64=True) as file:
                for line in _lines(video, labels):
                    file.write(line.encode())
            names = "".join(f"{' '.join(label.split())}\n" for label in labels)
            archive.writestr("gt/labels.txt", names.encode(errors="backslashreplace"))
            archive.writestr("seqinfo.ini", _info_text(video).encode(errors="backslashreplace"))

    replace_file(path, write)


def _lines(video: VideoTracks, labels: list[str]) -> Iterator[str]:
    """The lines by frame and id."""
    shift = 1 if any(track.id == 0 for track in video.tracks) else 0
    objects = sorted(video.tracks, key=lambda track: track.id)
    for track, box in heapq.merge(*map(_visible, objects), key=lambda pair: (pair[1].frame, pair[0].id)):
        x, y, w, h = box.box
        numbers = f"{x + 1:.4f},{y + 1:.4f},{w:.4f},{h:.4f},1,{labels.index(track.label) + 1},1"
        yield f"{(box.frame or 0) + 1},{track.id + shift},{numbers}\n"


def _visible(track: ObjectTrack) -> Iterator[tuple[ObjectTrack, TrackBox]]:
    return ((track, box) for box in track.boxes if not box.absent and box.frame is not None)


def _info_text(video: VideoTracks) -> str:
    width, height = video.size or (0, 0)
    length = max(video.length or 0, max(video.frames, default=-1) + 1)
    entries = {
        "name": " ".join((video.video or "video").split()),
        "imDir": "img1",
        "frameRate": max(1, round(video.fps or 25)),
        "seqLength": length,
        "imWidth": width,
        "imHeight": height,
        "imExt": ".jpg",
    }
    return "[Sequence]\n" + "".join(f"{key}={value}\n" for key, value in entries.items())
