"""What all formats have in common: objects, each with a label and boxes in numbered frames of a video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ltr.common.errors import UserError

DEFAULT_LABEL = "object"


class AnnotationError(UserError):
    """A file of annotations that cannot be read or written."""


@dataclass(frozen=True)
class TrackBox:
    """One object in one frame.

    Attributes:
        frame: index of the frame in its video, from 0; None for the frame that a run starts from.
        box: x, y, w, h in pixels; the first pixel of the image covers [0, 1].
        absent: the target is not visible in this frame; the box is where it was last thought to be.
        given: a person drew it; otherwise it is predicted or interpolated.
        score: of the tracker, on its own scale; None if it has none.
    """

    frame: int | None
    box: tuple[float, float, float, float]
    absent: bool = False
    given: bool = False
    score: float | None = None


@dataclass(frozen=True)
class ObjectTrack:
    """One object through a video.

    Attributes:
        id: a whole number that no other object of the video has.
        label: its class, such as 'car'.
        boxes: in the order of their frames; they can be gone through several times.
    """

    id: int
    label: str
    boxes: Iterable[TrackBox]


@dataclass(frozen=True)
class VideoTracks:
    """The objects of one video.

    Attributes:
        video: name of the video, with or without folder and suffix; None if the file does not say.
        tracks: its objects.
        size: width and height of its images in pixels; None if unknown.
        fps: frames per second; None if unknown.
        length: number of frames of the whole video; None if unknown.
        frames: indices of the frames that were looked at, in rising order; as `boxes`.
        complete: the frames looked at reach the end of the video.
        images: names of the image files of `frames`, for a folder of images, as `boxes`; None for a video.
    """

    video: str | None
    tracks: tuple[ObjectTrack, ...]
    size: tuple[int, int] | None = None
    fps: float | None = None
    length: int | None = None
    frames: Iterable[int] = ()
    complete: bool = True
    images: Iterable[str] | None = None

    def labels(self) -> list[str]:
        """The labels of the objects, each once, in the order in which they occur."""
        return list(dict.fromkeys(track.label for track in self.tracks))


def corners_to_box(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
    """x, y, w, h of the box with these sides."""
    return left, top, right - left, bottom - top


def label_each(labels: Sequence[str], count: int) -> list[str]:
    """A label for each of `count` objects, from one for each, one for all, or none at all.

    Raises:
        AnnotationError: if there are labels for another number of objects.
    """
    if len(labels) > 1 and len(labels) != count:
        raise AnnotationError(f"there are {len(labels)} labels for {count} objects: give one for all, or one for each")
    return list(labels) if len(labels) > 1 else [*(labels or [DEFAULT_LABEL])] * count
