"""'CVAT for video 1.1': XML with a track for each object and a box for each of its frames.

Frames count from 0, and corners from the top left corner of the image, as fractions of pixels. `outside="1"` hides the
object from this frame on. CVAT reads key frames only and fills the frames between by straight lines, so that every
tracked frame is written as one. See docs.cvat.ai/docs/dataset_management/formats/format-cvat.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from ltr.common.files import write_lines
from pytracking.annotation.number_fields import finite, whole
from pytracking.annotation.tracks import (
    DEFAULT_LABEL,
    AnnotationError,
    ObjectTrack,
    TrackBox,
    VideoTracks,
    corners_to_box,
)
from pytracking.utils.video import warn

_DEEPEST = 50  # elements inside one another; CVAT needs eight
_UNPRINTABLE = dict.fromkeys([*range(32), 0x7F, 0xFFFE, 0xFFFF], " ")  # XML has no way to write them


# -- reading -----------------------------------------------------------------------------------------------------


def read_cvat(path: Path) -> list[VideoTracks]:
    """The objects of a task. Key frames count as given, all other boxes as interpolated.

    Of 'CVAT for images', which does not say which boxes are of one object, each box in the first image that has any is
    an object.

    Raises:
        AnnotationError: if it is no such file, or a box in it cannot be used.
    """
    root = parse_xml(path.read_bytes(), str(path))
    if root.tag != "annotations":
        raise AnnotationError(f"{path} is XML, but not CVAT's: its root is <{root.tag[:40]}> and not <annotations>")
    source = root.findtext(".//source") or None
    image = next((image for image in root.iter("image") if image.find("box") is not None), None)
    if image is not None:
        return [VideoTracks(source, _objects_of_image(image, str(path)))]
    others = 0
    tracks: list[ObjectTrack] = []
    for number, element in enumerate(root.iter("track")):
        boxes = [_box(box, f"{path}, track {element.get('id', number)}") for box in element.iter("box")]
        kept = sorted((box for box in boxes if box is not None), key=lambda box: box.frame or 0)
        others += not kept
        if kept:
            name = whole(element.get("id", str(number)), f"{path}, track {number}: the id")
            tracks.append(ObjectTrack(name, element.get("label") or DEFAULT_LABEL, tuple(kept)))
    if not tracks:
        raise AnnotationError(f"{path} has no track with an upright box in it")
    if others:
        warn(f"{path}: {others} tracks have no upright box and are left out")
    if len({element.get("task_id") for element in root.iter("track")}) > 1:
        raise AnnotationError(f"{path} is of a project with several tasks, and so of several videos; export one task")
    if len({track.id for track in tracks}) < len(tracks):
        raise AnnotationError(f"{path} has two tracks of the same id; is it of several tasks? export one task")
    width, height = root.findtext(".//original_size/width"), root.findtext(".//original_size/height")
    size = (whole(width, f"{path}: width"), whole(height, f"{path}: height")) if width and height else None
    return [VideoTracks(source, tuple(tracks), size)]


def _objects_of_image(image: Element, path: str) -> tuple[ObjectTrack, ...]:
    frame = image.get("id", "")
    tracks = []
    for number, element in enumerate(image.iter("box"), start=1):
        element.set("frame", frame)
        box = _box(element, f"{path}, image {frame}")
        if box is not None:
            tracks.append(ObjectTrack(number, element.get("label") or DEFAULT_LABEL, (box,)))
    if not tracks:
        raise AnnotationError(f"{path}: image {frame} has turned boxes only; a run starts from an upright one")
    return tuple(tracks)


def _box(element: Element, where: str) -> TrackBox | None:
    """The box of one element; None if it is turned."""
    if finite(element.get("rotation", "0"), f"{where}: rotation") % 360:
        return None
    frame = whole(element.get("frame"), f"{where}: frame")
    sides = [finite(element.get(side), f"{where}, frame {frame}: {side}") for side in ("xtl", "ytl", "xbr", "ybr")]
    box = corners_to_box(*sides)
    absent = element.get("outside") == "1"
    if not absent and min(box[2:]) <= 0:
        raise AnnotationError(f"{where}, frame {frame}: the box has no area (left {sides[0]:g}, right {sides[2]:g})")
    return TrackBox(frame, box, absent, given=element.get("keyframe", "1") == "1")


def parse_xml(content: bytes, name: str) -> Element:
    """The root of an XML document without a DTD, and so without entities that grow or name files.

    Raises:
        AnnotationError: if it is none, has a DTD, or is nested deeper than any annotation.
    """
    builder, parser = TreeBuilder(), expat.ParserCreate()
    depth = 0

    def refuse(*declaration: Any) -> None:
        raise AnnotationError(f"{name} has a document type (<!DOCTYPE ...>), which no annotation needs: it is not read")

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise AnnotationError(f"{name} is nested deeper than any annotation: it is not read")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise AnnotationError(f"{name} is not complete XML ({error})") from error
    return builder.close()


# -- writing -----------------------------------------------------------------------------------------------------


def write_cvat(video: VideoTracks, path: Path) -> None:
    """Write the objects of one video, for CVAT's 'Upload annotations'.

    Raises:
        OSError: if the file cannot be written.
    """
    write_lines(path, _lines(video))


def _lines(video: VideoTracks) -> Iterator[str]:
    yield from ('<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>", *_meta(video))
    for track in video.tracks:
        yield f'  <track id="{track.id}" label={_quoted(track.label)} source="auto">'
        yield from map(_element, _closed(track, video))
        yield "  </track>"
    yield "</annotations>"


def _meta(video: VideoTracks) -> list[str]:
    name = escape((video.video or "").translate(_UNPRINTABLE))
    labels = [f"<label><name>{escape(label.translate(_UNPRINTABLE))}</name></label>" for label in video.labels()]
    lines = ["  <meta>", "    <task>", f"      <name>{name}</name>"]
    if video.length:
        lines.append(f"      <size>{video.length}</size>")
    lines += ["      <mode>interpolation</mode>", f"      <labels>{''.join(labels)}</labels>"]
    if video.size:
        width, height = video.size
        lines.append(f"      <original_size><width>{width}</width><height>{height}</height></original_size>")
    return [*lines, f"      <source>{name}</source>", "    </task>", "  </meta>"]


def _closed(track: ObjectTrack, video: VideoTracks) -> Iterator[TrackBox]:
    """The boxes, and where the video goes on after them, one that hides the object: CVAT would show it to the end."""
    last, step = None, 1
    for box in track.boxes:
        if last is not None:
            step = (box.frame or 0) - (last.frame or 0)
        last = box
        yield box
    if last is None or last.absent:
        return
    frame = last.frame or 0
    later = next((each for each in video.frames if each > frame), None)
    following = frame + step if later is None else later
    if later is not None or (not video.complete and (video.length is None or following < video.length)):
        yield TrackBox(following, last.box, absent=True)


def _element(box: TrackBox) -> str:
    x, y, w, h = box.box
    sides = zip(("xtl", "ytl", "xbr", "ybr"), (x, y, x + w, y + h), strict=True)
    corners = " ".join(f'{side}="{value:.4f}"' for side, value in sides)
    return f'    <box frame="{box.frame}" keyframe="1" outside="{int(box.absent)}" occluded="0" {corners} z_order="0"/>'


def _quoted(text: str) -> str:
    return quoteattr(text.translate(_UNPRINTABLE))
