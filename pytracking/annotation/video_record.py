"""The objects of a video from the record that a run left of it, {video}.json (see `evaluation.video_results`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise AnnotationError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path} is not complete JSON ({error})") from error
    try:
        return record_tracks(record)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise AnnotationError(
            f"{path} is no record of a run on a video: give a {{video}}.json that ebm-video wrote"
        ) from error


def record_tracks(record: dict[str, Any]) -> VideoTracks:
    """The objects of a record as :class:`pytracking.evaluation.video_results.VideoResults` writes it."""
    frames = record["frames"]
    boxes: dict[str, list[TrackBox]] = {}
    for frame in frames:
        for target in frame["objects"]:
            if target["box"] is None:  # before its first box
                continue
            absent = target["flag"] == ABSENT_FLAG
            x, y, w, h = target["box"]
            given = target.get("given", frame is frames[0])  # earlier records do not say
            box = TrackBox(frame["index"], (x, y, w, h), absent, given, target["score"])
            boxes.setdefault(target["name"], []).append(box)
    described = {each["name"]: each for each in record.get("objects", [])}
    tracks = []
    for number, (name, found) in enumerate(boxes.items(), start=1):
        about = described.get(name, {})
        tracks.append(ObjectTrack(about.get("id", number), about.get("label", DEFAULT_LABEL), tuple(found)))
    width, height = record["size"]
    frames_seen = tuple(frame["index"] for frame in frames)
    return VideoTracks(
        Path(record["source"]).name,
        tuple(tracks),
        (width, height),
        record["fps"],
        record.get("source_frames"),
        frames_seen,
        bool(record["complete"]) and not record.get("selection"),
        _image_names(record, frames_seen),
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
