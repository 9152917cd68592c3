"""A tracker's boxes on a benchmark's sequence, in the form that annotation tools are written from."""

from __future__ import annotations

import numpy as np

from ltr.common.images import read_image
from pytracking.annotation.tracks import DEFAULT_LABEL, ObjectTrack, TrackBox, VideoTracks
from pytracking.evaluation.datasets import TrackingSequence


def sequence_tracks(sequence: TrackingSequence, boxes: np.ndarray) -> VideoTracks:
    """One object in the images of a sequence.

    Args:
        sequence: its first image is read, for its size.
        boxes: (M, 4), M <= N, as annotated, line i of frame i. A line without an area means that the target is absent.

    Raises:
        ImageReadError: if the image cannot be read.
    """
    height, width = read_image(sequence.frames[0]).shape[:2]
    there = np.isfinite(boxes).all(axis=1) & (np.nan_to_num(boxes[:, 2:]) > 0).all(axis=1)
    found, last = [], (0.0, 0.0, 1.0, 1.0)
    for frame, box in enumerate(sequence.to_tracker(boxes).tolist()):
        last = (box[0], box[1], box[2], box[3]) if there[frame] else last
        found.append(TrackBox(frame, last, absent=not there[frame], given=frame == 0))
    frames = tuple(range(len(boxes)))
    return VideoTracks(
        sequence.name,
        (ObjectTrack(1, DEFAULT_LABEL, tuple(found)),),
        (width, height),
        None,
        len(sequence),
        frames,
        len(boxes) >= len(sequence),
        tuple(sequence.frames[frame].name for frame in frames),
    )
