"""COCO for video, in TAO's dialect: COCO's JSON with `videos`, `tracks`, and images that are frames of a video.

Tools that know plain COCO read these files as detections, TrackEval and other tools for TAO as tracks. The fields of
CocoVID (`frame_id`, `instance_id`), which MMTracking and MMDetection read, stand beside TAO's. YouTube-VIS has one
entry an object, with a list of boxes, and no tool for plain COCO reads it: it is read here, not written.

Frames count from 0 (`frame_index`), boxes are x, y, w, h from the top left corner of the image. A frame in which an
object is absent has no annotation of it. See github.com/TAO-Dataset/tao and the format's page of YouTube-VIS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ltr.common.files import write_lines
from pytracking.annotation.number_fields import finite, positive_box, whole
from pytracking.annotation.tracks import DEFAULT_LABEL, AnnotationError, ObjectTrack, TrackBox, VideoTracks

# -- reading -----------------------------------------------------------------------------------------------------


def read_coco(path: Path) -> list[VideoTracks]:
    """The objects of each video in TAO's or CocoVID's form, YouTube-VIS's, or COCO as CVAT exports a video.

    Raises:
        AnnotationError: if it is no such file, or an entry in it cannot be used.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path} is not complete JSON ({error})") from error
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise AnnotationError(f"{path} is JSON, but not COCO's: it has no list of annotations")
    return _Reader(path, content).videos()


class _Reader:
    """The entries of one file, by their ids."""

    def __init__(self, path: Path, content: dict[str, Any]):
        self._path = path
        self._annotations = self._entries(content, "annotations")
        self._images = {entry.get("id"): entry for entry in self._entries(content, "images")}
        self._videos = {entry.get("id"): entry for entry in self._entries(content, "videos")}
        self._tracks = {entry.get("id"): entry for entry in self._entries(content, "tracks")}
        categories = self._entries(content, "categories")
        self._labels = {entry.get("id"): str(entry.get("name") or DEFAULT_LABEL) for entry in categories}

    def _entries(self, content: dict[str, Any], key: str) -> list[dict[str, Any]]:
        entries = content.get(key) or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise AnnotationError(f"{self._path}: {key} is no list of entries as COCO has it")
        for entry in entries:
            for name in ("id", "image_id", "video_id", "category_id"):
                if isinstance(entry.get(name), list | dict):
                    raise AnnotationError(f"{self._path}: {name} of an entry in {key} is neither number nor text")
        return entries

    def videos(self) -> list[VideoTracks]:
        boxes: dict[Any, dict[int, list[TrackBox]]] = {}
        labels: dict[tuple[Any, int], str] = {}
        for position, entry in enumerate(self._annotations):
            where = f"{self._path}, annotation {entry.get('id', position)}"
            found = self._of_video(entry, where) if "bboxes" in entry else [self._of_frame(entry, where)]
            for video, name, box in found:
                boxes.setdefault(video, {}).setdefault(name, []).append(box)
                labels.setdefault((video, name), self._label(entry, name))
        if not boxes:
            raise AnnotationError(f"{self._path} has no box in it")
        return [
            self._video(video, {name: (labels[video, name], found) for name, found in objects.items()})
            for video, objects in boxes.items()
        ]

    def _of_frame(self, entry: dict[str, Any], where: str) -> tuple[Any, int, TrackBox]:
        image = self._images.get(entry.get("image_id"))
        if image is None:
            raise AnnotationError(f"{where}: there is no image {entry.get('image_id')!r}")
        attributes = entry.get("attributes")
        attributes = attributes if isinstance(attributes, dict) else {}
        names = [entry.get("track_id"), entry.get("instance_id"), attributes.get("track_id")]
        name = next((name for name in names if name is not None), None)
        if name is None:
            raise AnnotationError(f"{where}: nothing says which object it is of (track_id or instance_id)")
        given = attributes.get("keyframe", True) is not False  # CVAT's mark of interpolated boxes
        box = positive_box(entry.get("bbox"), where)
        video = image.get("video_id", entry.get("video_id"))
        return video, whole(name, f"{where}: track_id"), TrackBox(self._frame(image), box, given=given)

    def _frame(self, image: dict[str, Any]) -> int:
        for key in ("frame_index", "frame_id"):
            if image.get(key) is not None:
                return whole(image[key], f"{self._path}, image {image.get('id')}: {key}")
        name = PurePosixPath(str(image.get("file_name")).replace("\\", "/")).stem
        number = re.fullmatch(r"frame_(\d+)", name)  # CVAT's name of a video's frame
        if number is None:
            raise AnnotationError(
                f"{self._path}: image {image.get('id')} is no frame of a video: it has neither frame_index nor "
                f"frame_id, and its name is {name[:40]!r} and not frame_000012"
            )
        return int(number[1])

    def _of_video(self, entry: dict[str, Any], where: str) -> list[tuple[Any, int, TrackBox]]:
        """The boxes of YouTube-VIS: one for each frame, None where the object is absent."""
        if not isinstance(entry["bboxes"], list):
            raise AnnotationError(f"{where}: bboxes is no list")
        name = whole(entry.get("id"), f"{where}: id")
        return [
            (entry.get("video_id"), name, TrackBox(frame, positive_box(box, f"{where}, frame {frame}"), given=True))
            for frame, box in enumerate(entry["bboxes"])
            if box is not None
        ]

    def _label(self, entry: dict[str, Any], name: int) -> str:
        category = entry.get("category_id", self._tracks.get(name, {}).get("category_id"))
        return self._labels.get(category, DEFAULT_LABEL) if isinstance(category, int | float | str) else DEFAULT_LABEL

    def _video(self, name: Any, objects: dict[int, tuple[str, list[TrackBox]]]) -> VideoTracks:
        entry = self._videos.get(name, {})
        tracks = []
        for number, (label, found) in sorted(objects.items()):
            found.sort(key=lambda box: box.frame or 0)
            frames = [box.frame for box in found]
            if len(set(frames)) < len(frames):
                raise AnnotationError(f"{self._path}: object {number} has two boxes in one frame")
            tracks.append(ObjectTrack(number, label, tuple(found)))
        files = entry.get("file_names")
        first = str(files[0]) if isinstance(files, list) and files else ""
        # YouTube-VIS names a video by the folder of its images.
        title = entry.get("name") or PurePosixPath(first).parent.name
        size = None
        if entry.get("width") and entry.get("height"):
            width, height = (finite(entry[key], f"{self._path}: {key} of a video") for key in ("width", "height"))
            size = round(width), round(height)
        return VideoTracks(str(title) if title else None, tuple(tracks), size)


# -- writing -----------------------------------------------------------------------------------------------------


def write_coco(video: VideoTracks, path: Path) -> None:
    """Write the objects of one video.

    Raises:
        OSError: if the file cannot be written.
    """
    write_lines(path, _lines(video))


def _lines(video: VideoTracks) -> Iterator[str]:
    width, height = video.size or (0, 0)
    size = {"width": width, "height": height}
    labels = video.labels()
    entry = {
        "id": 1,
        "name": video.video or "video",
        **size,
        "neg_category_ids": [],
        "not_exhaustive_category_ids": [],
        "metadata": {"fps": video.fps, "length": video.length},
    }
    head = {
        "info": {"description": video.video or "", "version": "1.0"},
        "licenses": [],
        "videos": [entry],
        "categories": [{"id": number, "name": label} for number, label in enumerate(labels, start=1)],
        "tracks": [
            {"id": track.id, "category_id": labels.index(track.label) + 1, "video_id": 1} for track in video.tracks
        ],
    }
    yield json.dumps(head).removesuffix("}") + ', "images": ['
    yield from _separated({**image, **size} for image in _images(video))
    yield '], "annotations": ['
    yield from _separated(_annotations(video, labels))
    yield "]}"


def _separated(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The text of each, a line each."""
    for number, entry in enumerate(entries):
        yield (", " if number else "") + json.dumps(entry)


def _images(video: VideoTracks) -> Iterator[dict[str, Any]]:
    names = video.images or (f"frame_{frame:06d}.png" for frame in video.frames)
    for position, (frame, name) in enumerate(zip(video.frames, names, strict=True)):
        yield {"id": position + 1, "video_id": 1, "file_name": name, "frame_index": frame, "frame_id": position}


def _annotations(video: VideoTracks, labels: list[str]) -> Iterator[dict[str, Any]]:
    number = 0
    for track in video.tracks:
        ids = enumerate(video.frames, start=1)  # of the images
        for box in track.boxes:
            if box.absent or box.frame is None:
                continue
            numbers = [round(value, 4) for value in box.box]
            score = {} if box.score is None else {"score": round(box.score, 6)}
            number += 1
            yield {
                "id": number,
                "image_id": next(image for image, frame in ids if frame == box.frame),
                "video_id": 1,
                "track_id": track.id,
                "instance_id": track.id,
                "category_id": labels.index(track.label) + 1,
                "bbox": numbers,
                "area": round(numbers[2] * numbers[3], 4),
                "segmentation": [],
                "iscrowd": 0,
                # by which CVAT joins the boxes to tracks
                "attributes": {"track_id": track.id, "keyframe": True, "occluded": False},
                **score,
            }
