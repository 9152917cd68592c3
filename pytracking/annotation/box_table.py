"""A table of boxes of many videos: CSV with a header, such as

    video,object,label,frame,x,y,w,h
    cam1/walk.mp4,1,person,0,59,13,56,88
    cam1/walk.mp4,2,dog,120,10,20,50,40

`video`, `x`, `y`, `w` and `h` must be there. An `object` is a number or a name; a name is its label, if there is no
other. Without `object`, every row without a frame is an object, and the rows of one video that have frames are of one;
without `frame`, a box is in the first frame that is tracked. Frames count from 0, pixels from the top left corner.
Commas, semicolons and tabs separate alike; with semicolons or tabs, numbers may have decimal commas.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from pathlib import Path

from pytracking.annotation.number_fields import positive_box, whole
from pytracking.annotation.tracks import DEFAULT_LABEL, AnnotationError, ObjectTrack, TrackBox, VideoTracks
from pytracking.utils.video import warn

_NEEDED = ("video", "x", "y", "w", "h")
_COLUMNS = (*_NEEDED, "object", "label", "frame")
_OTHER_NAMES = {
    **dict.fromkeys(("file", "filename", "file_name", "name", "path", "video_name", "video name"), "video"),
    **dict.fromkeys(("id", "object_id", "track_id"), "object"),
    **dict.fromkeys(("frame_index", "frame index"), "frame"),
    "class": "label",
    "left": "x",
    "top": "y",
    "width": "w",
    "height": "h",
}
_Objects = dict[str, tuple[str, list[TrackBox]]]
"""Label and boxes of each object, by what the column `object` says."""


def read_box_table(path: Path) -> list[VideoTracks]:
    """The objects of each video in the table.

    Raises:
        AnnotationError: if the header or a row is not as described.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path} is not a text file in UTF-8; save it as 'CSV UTF-8'") from error
    text = re.sub(r"\Asep=.\r?\n", "", text)  # a hint of Excel to itself
    separator = max(",;\t", key=text.partition("\n")[0].count)
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=separator))
    except csv.Error as error:
        raise AnnotationError(f"{path} is no table that can be read ({error})") from error
    header = _header(rows[0] if rows else [], path)
    videos: dict[str, _Objects] = {}
    for number, row in enumerate(rows[1:], start=2):
        fields = [field.strip() for field in row]
        if not any(fields):
            continue
        where = f"{path}, line {number}"
        if any(fields[len(header) :]):
            raise AnnotationError(
                f"{where} has {len(fields)} fields, and the first line names {len(header)}; put fields with commas "
                "into quotes, or separate by semicolons"
            )
        if separator != ",":
            fields = [re.sub(r"^(-?\d+),(\d+)$", r"\1.\2", field) for field in fields]
        _add(videos, dict(zip(header, fields, strict=False)), where)
    if not videos:
        raise AnnotationError(f"{path} has a header and no box below it")
    return [VideoTracks(video, _tracks(objects, f"{path}, {video}")) for video, objects in videos.items()]


def _header(fields: list[str], path: Path) -> list[str]:
    names = [_OTHER_NAMES.get(field.strip().casefold(), field.strip().casefold()) for field in fields]
    missing = [name for name in _NEEDED if name not in names]
    if missing or len(set(names)) < len(names):
        what = f"lacks {', '.join(missing)}" if missing else "names a column twice"
        raise AnnotationError(f"{path}: the first line {what}; it names the columns, of {', '.join(_COLUMNS)}")
    others = [field.strip() for field, name in zip(fields, names, strict=True) if name and name not in _COLUMNS]
    for other in others:
        if re.search("frame|time|second|start", other.casefold()):
            raise AnnotationError(
                f"{path} has a column {other!r}: if it says in which frame a box is, name it frame, and count from 0; "
                "otherwise remove it"
            )
    if others:
        warn(f"{path}: the columns {', '.join(others)} are not used")
    return names


def _add(videos: dict[str, _Objects], row: dict[str, str], where: str) -> None:
    video = row.get("video", "")
    if not video:
        raise AnnotationError(f"{where}: the row names no video")
    objects = videos.setdefault(video, {})
    frame = whole(row["frame"], f"{where}: frame") if row.get("frame") else None
    name = row.get("object") or str(1 if frame is not None else 1 + len(objects))
    box = TrackBox(frame, positive_box([row.get(key) for key in "xywh"], where), given=True)
    own_label = DEFAULT_LABEL if name.isdecimal() else name
    label, boxes = objects.setdefault(name, (row.get("label") or own_label, []))
    if row.get("label") and row["label"] != label:
        raise AnnotationError(f"{where}: object {name} is {label!r} above and {row['label']!r} here")
    boxes.append(box)


def _tracks(objects: _Objects, where: str) -> tuple[ObjectTrack, ...]:
    taken = {int(name) for name in objects if name.isdecimal()}
    free = (number for number in itertools.count(1) if number not in taken)
    tracks = []
    for name, (label, boxes) in objects.items():
        frames = [box.frame for box in boxes]
        if len(set(frames)) < len(frames):
            raise AnnotationError(f"{where}: object {name} has two boxes in one frame")
        boxes.sort(key=lambda box: -1 if box.frame is None else box.frame)
        tracks.append(ObjectTrack(int(name) if name.isdecimal() else next(free), label, tuple(boxes)))
    if len({track.id for track in tracks}) < len(tracks):
        raise AnnotationError(f"{where}: two objects have the same number, written in two ways")
    return tuple(tracks)
