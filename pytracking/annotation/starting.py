"""What a run takes from the boxes of a file: where each object starts, and the boxes that correct it later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ltr.common.listing import some
from pytracking.annotation.tracks import AnnotationError, ObjectTrack, TrackBox, VideoTracks
from pytracking.utils.video import warn


@dataclass(frozen=True)
class GivenBox:
    """A box in a certain frame, which starts an object or puts it right.

    Attributes:
        frame: index in the video.
        position: of the object, from 0.
        box: x, y, w, h in pixels.
        place: where it stands in the file, in words.
    """

    frame: int
    position: int
    box: tuple[float, float, float, float]
    place: str


@dataclass(frozen=True)
class StartingBoxes:
    """The objects of a run.

    Attributes:
        ids, labels: of the objects.
        first: x, y, w, h in the first frame of the run, of the first objects; the others start later.
        later: all other boxes.
    """

    ids: tuple[int, ...]
    labels: tuple[str, ...]
    first: tuple[tuple[float, float, float, float], ...]
    later: tuple[GivenBox, ...]


def starting_boxes(video: VideoTracks, file: Path, from_zero: bool = True) -> StartingBoxes:
    """The boxes that a person gave: the first of each object starts it, and the others put it right.

    Of an object with boxes in frame after frame, which is tracked already, only the first is taken, and that is said.
    Interpolated boxes, and frames in which an object is marked as absent, are not taken.

    Args:
        from_zero: the run begins with frame 0.

    Raises:
        AnnotationError: if there is no such box.
    """
    tracks = [(track, given) for track in video.tracks if (given := _given(track))]
    if not tracks:
        raise AnnotationError(f"{file} has no box that a person gave: all are interpolated, or mark an absent target")
    finished = [track.id for track, given in tracks if _is_finished(given)]
    if finished:
        names = some([str(number) for number in finished], 5)
        warn(f"{file} has boxes of object {names} in frame after frame: of these, only the first is taken")
    tracks = [(track, given[:1] if track.id in finished else given) for track, given in tracks]
    # Objects that start in the first frame come first, as their boxes have no frame.
    tracks.sort(key=lambda pair: not _at_once(pair[1][0], from_zero))
    later = [
        GivenBox(box.frame, position, box.box, f"{file}, object {track.id} in frame {box.frame}")
        for position, (track, given) in enumerate(tracks)
        for box in given
        if box.frame is not None and not _at_once(box, from_zero)
    ]
    return StartingBoxes(
        tuple(track.id for track, _ in tracks),
        tuple(track.label for track, _ in tracks),
        tuple(given[0].box for _, given in tracks if _at_once(given[0], from_zero)),
        tuple(sorted(later, key=lambda each: (each.frame, each.position))),
    )


def _given(track: ObjectTrack) -> list[TrackBox]:
    return [box for box in track.boxes if box.given and not box.absent]


def _at_once(box: TrackBox, from_zero: bool) -> bool:
    return box.frame is None or (from_zero and box.frame == 0)


def _is_finished(boxes: list[TrackBox]) -> bool:
    """Whether most of the boxes stand in successive frames."""
    frames = [box.frame for box in boxes if box.frame is not None]
    steps = [after - before for before, after in zip(frames, frames[1:], strict=False)]
    return len(steps) > 1 and 2 * steps.count(1) > len(steps)
