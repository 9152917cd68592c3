"""What a run takes from the boxes of a file: where each object starts, and the boxes that correct it later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytracking.annotation.tracks import AnnotationError, ObjectTrack, TrackBox, VideoTracks
from pytracking.utils.video import warn


@dataclass(frozen=True)
class StartingBoxes:
    """The objects of a run.

    Attributes:
        ids, labels: of the objects.
        start: index of the frame in which the objects start; None for the first frame of the run.
        first: x, y, w, h of each object in that frame.
        later: frame, position of the object from 0, and x, y, w, h of each box that corrects it.
    """

    ids: tuple[int, ...]
    labels: tuple[str, ...]
    start: int | None
    first: tuple[tuple[float, float, float, float], ...]
    later: tuple[tuple[int, int, tuple[float, float, float, float]], ...]


def starting_boxes(video: VideoTracks, file: Path) -> StartingBoxes:
    """The boxes that a person gave: the first of each object starts it, and the others correct it.

    Of an object with boxes in frame after frame, which is tracked already, only the first is taken, and that is said.
    Interpolated boxes, and frames in which an object is marked as absent, are not taken.

    Raises:
        AnnotationError: if there is no such box, or the objects start in different frames.
    """
    tracks = [(track, given) for track in video.tracks if (given := _given(track))]
    if not tracks:
        raise AnnotationError(f"{file} has no box that a person gave: all are interpolated, or mark an absent target")
    starts = {given[0].frame for _, given in tracks}
    if len(starts) > 1:
        first = min(-1 if start is None else start for start in starts)
        late = [str(track.id) for track, given in tracks if given[0].frame != (None if first < 0 else first)]
        raise AnnotationError(
            f"{file}: object {', '.join(late)} has no box in frame {max(first, 0)}, where the others start; draw one "
            "there, or track it in a run of its own"
        )
    finished = [track.id for track, given in tracks if _is_finished(given)]
    if finished:
        names = ", ".join(map(str, finished[:5])) + (f" and {len(finished) - 5} more" if len(finished) > 5 else "")
        warn(f"{file} has boxes of object {names} in frame after frame: of these, only the first is taken")
    later = [
        (box.frame, position, box.box)
        for position, (track, given) in enumerate(tracks)
        if track.id not in finished
        for box in given[1:]
        if box.frame is not None
    ]
    return StartingBoxes(
        tuple(track.id for track, _ in tracks),
        tuple(track.label for track, _ in tracks),
        starts.pop(),
        tuple(given[0].box for _, given in tracks),
        tuple(sorted(later, key=lambda each: each[:2])),
    )


def _given(track: ObjectTrack) -> list[TrackBox]:
    return [box for box in track.boxes if box.given and not box.absent]


def _is_finished(boxes: list[TrackBox]) -> bool:
    """Whether most of the boxes stand in successive frames."""
    frames = [box.frame for box in boxes if box.frame is not None]
    steps = [after - before for before, after in zip(frames, frames[1:], strict=False)]
    return len(steps) > 1 and 2 * steps.count(1) > len(steps)
