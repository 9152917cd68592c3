"""The objects of a video from the record that a run left of it, {video}.json (see `evaluation.video_results`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ltr.common.files import read_bytes
from pytracking.annotation.number_fields import finite, whole
from pytracking.annotation.tracks import DEFAULT_LABEL, AnnotationError, ObjectTrack, TrackBox, VideoTracks
from pytracking.utils.video import VideoError
from pytracking.utils.video_sources import ImageFolderSource

ABSENT_FLAG = "not_found"
"""The tracker's flag of a lost target: its box is a guess, and the target counts as absent."""


def read_record(path: Path) -> VideoTracks:
    """The objects of one video, as tracked.

    Raises:
        AnnotationError: if the file is no record of a run on a video.
    """
    try:
        record = json.loads(read_bytes(path))
    except OSError as error:
        raise AnnotationError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path} is not complete JSON ({error})") from error
    try:
        return record_tracks(record)
    except (AnnotationError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise AnnotationError(
            f"{path} is no record of a run on a video: give a {{video}}.json that ebm-video wrote"
        ) from error


def record_tracks(record: dict[str, Any]) -> VideoTracks:
    """The objects of a record as :class:`pytracking.evaluation.video_results.VideoResults` writes it."""
    frames = record["frames"]
    indices = tuple(whole(frame["index"], "the index of a frame") for frame in frames)
    boxes: dict[str, list[TrackBox]] = {}
    for index, frame in zip(indices, frames, strict=True):
        for target in frame["objects"]:
            if target["box"] is None:  # before its first box
                continue
            x, y, w, h = (finite(side, f"a side of the box in frame {index}") for side in target["box"])
            score = None if target["score"] is None else float(target["score"])
            given = target.get("given", index == indices[0])  # earlier records do not say
            box = TrackBox(index, (x, y, w, h), target["flag"] == ABSENT_FLAG, given is True, score)
            boxes.setdefault(str(target["name"]), []).append(box)
    described = {str(each["name"]): each for each in record.get("objects", [])}
    tracks = []
    for number, (name, found) in enumerate(boxes.items(), start=1):
        about = described.get(name, {})
        identity = whole(about.get("id", number), "the id of an object")
        tracks.append(ObjectTrack(identity, str(about.get("label", DEFAULT_LABEL)), tuple(found)))
    width, height = (whole(side, "a side of the image") for side in record["size"])
    length = record.get("source_frames")
    return VideoTracks(
        Path(record["source"]).name,
        tuple(tracks),
        (width, height),
        finite(record["fps"], "fps"),
        None if length is None else whole(length, "source_frames"),
        indices,
        bool(record["complete"]) and not record.get("selection"),
        _image_names(record, indices),
    )


def _image_names(record: dict[str, Any], frames: tuple[int, ...]) -> tuple[str, ...] | None:
    """The image files of the frames, if they came from a folder that is still as it was."""
    folder = Path(record.get("path", ""))
    if not record.get("path") or not folder.is_dir():
        return None
    try:
        files = ImageFolderSource(folder).files
    except VideoError:
        return None
    if len(files) != record.get("source_frames"):
        return None
    return tuple(files[frame].name for frame in frames)
