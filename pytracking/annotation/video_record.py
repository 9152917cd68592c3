"""The objects of a video from the record that a run left of it, {video}.json (see `evaluation.video_results`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytracking.annotation.number_fields import finite, whole
from pytracking.annotation.record_file import RecordFile
from pytracking.annotation.tracks import DEFAULT_LABEL, AnnotationError, ObjectTrack, TrackBox, VideoTracks
from pytracking.utils.video import VideoError
from pytracking.utils.video_sources import ImageFolderSource

ABSENT_FLAG = "not_found"
"""The tracker's flag of a lost target: its box is a guess, and the target counts as absent."""


def read_record(path: Path) -> VideoTracks:
    """The objects of one video, as tracked. Their boxes stay in the file until they are asked for.

    Raises:
        AnnotationError: if the file is no record of a run on a video.
    """
    try:
        record = RecordFile(path)
    except OSError as error:
        raise AnnotationError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path} is not complete JSON ({error})") from error
    try:
        return _tracks(record)
    except (AnnotationError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise AnnotationError(
            f"{path} is no record of a run on a video: give a {{video}}.json that ebm-video wrote"
        ) from error


def _tracks(record: RecordFile) -> VideoTracks:
    head, frames = record.head, _Frames(record)
    names: dict[str, None] = {}
    last = -1
    for index, frame in frames.items():  # looks at all of them, so that nothing is found wrong in mid-writing
        if index <= last:
            raise AnnotationError(f"frame {index} comes after frame {last}")
        last = index
        names.update((name, None) for name, _ in _boxes(frame, index, first=False))
    described = {str(each["name"]): each for each in head.get("objects", [])}
    tracks = []
    for number, name in enumerate(names, start=1):
        about = described.get(name, {})
        identity = whole(about.get("id", number), "the id of an object")
        tracks.append(ObjectTrack(identity, str(about.get("label", DEFAULT_LABEL)), _Boxes(frames, name)))
    width, height = (whole(side, "a side of the image") for side in head["size"])
    length = head.get("source_frames")
    return VideoTracks(
        Path(head["source"]).name,
        tuple(tracks),
        (width, height),
        finite(head["fps"], "fps"),
        None if length is None else whole(length, "source_frames"),
        frames,
        bool(head["complete"]) and not head.get("selection"),
        _image_names(head, frames, last),
    )


class _Frames:
    """The indices of the frames of a record."""

    def __init__(self, record: RecordFile):
        self._record = record

    def __iter__(self) -> Iterator[int]:
        return (index for index, _ in self.items())

    def items(self) -> Iterator[tuple[int, Any]]:
        """With what is recorded of each."""
        for frame in self._record.frames():
            yield whole(frame["index"], "the index of a frame"), frame


class _Boxes:
    """The boxes of one object."""

    def __init__(self, frames: _Frames, name: str):
        self._frames, self._name = frames, name

    def __iter__(self) -> Iterator[TrackBox]:
        for number, (index, frame) in enumerate(self._frames.items()):
            for name, box in _boxes(frame, index, first=not number):
                if name == self._name:
                    yield box


def _boxes(frame: Any, index: int, first: bool) -> Iterator[tuple[str, TrackBox]]:
    """The names and boxes of the objects in one frame, the `first` one of the run or another."""
    for target in frame["objects"]:
        if target["box"] is None:  # before its first box
            continue
        x, y, w, h = (finite(side, f"a side of the box in frame {index}") for side in target["box"])
        score = None if target["score"] is None else float(target["score"])
        given = target.get("given", first)  # earlier records do not say
        yield str(target["name"]), TrackBox(index, (x, y, w, h), target["flag"] == ABSENT_FLAG, given is True, score)


class _ImageNames:
    """The names of the image files of some frames."""

    def __init__(self, files: list[Path], frames: _Frames):
        self._files, self._frames = files, frames

    def __iter__(self) -> Iterator[str]:
        return (self._files[frame].name for frame in self._frames)


def _image_names(head: dict[str, Any], frames: _Frames, last: int) -> _ImageNames | None:
    """The image files of the frames up to the last, if they came from a folder that is still as it was."""
    folder = Path(head.get("path", ""))
    if not head.get("path") or not folder.is_dir():
        return None
    try:
        files = ImageFolderSource(folder).files
    except VideoError:
        return None
    return _ImageNames(files, frames) if last < len(files) == head.get("source_frames") else None
