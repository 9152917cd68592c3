"""Plays saved results of several trackers over a sequence's frames, in a window or as a video."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ltr.common.errors import UserError
from ltr.common.images import read_image
from pytracking.analysis.metrics import overlap, valid_frames
from pytracking.analysis.result_boxes import read_result
from pytracking.analysis.tracker_results import TrackerResults, of_each
from pytracking.evaluation.datasets import TrackingSequence
from pytracking.utils.drawing import GROUND_TRUTH, Colour, draw_box, draw_label, enlarge, label_size, whole_scale
from pytracking.utils.video_writer import VideoWriter
from pytracking.view.picture import target_colour
from pytracking.view.window import HELP, ImageWindow, why_no_window

_PANEL: Colour = (22, 24, 28)
_GRID: Colour = (70, 74, 80)
_TEXT: Colour = (225, 228, 232)
_LETTERS, _ROW, _MARGIN = 14, 24, 12  # pixels
_CHART = 110  # pixels: least height of the curves
_NARROWEST = 120  # pixels: least width of the curves


@dataclass(frozen=True)
class Track:
    """One tracker's boxes on the first N frames of a sequence.

    Attributes:
        name: of the tracker.
        colour: of its boxes.
        boxes: (N, 4), pixels from 0.
        overlaps: (N,) with the annotation; NaN for frames without one.
    """

    name: str
    colour: Colour
    boxes: np.ndarray
    overlaps: np.ndarray


def read_tracks(sequence: TrackingSequence, results: Sequence[TrackerResults]) -> tuple[list[Track], list[str]]:
    """Read the boxes of all trackers on a sequence.

    Returns:
        The tracks, coloured in the order of `results`, and notes on what is missing.

    Raises:
        UserError: if none of the trackers has a result of the sequence that can be understood.
    """
    tracks = []
    truth = sequence.to_tracker(sequence.ground_truth)
    annotated = valid_frames(truth)
    here = [result for result in results if result.problem or sequence.name in result.files]
    notes = [f"{result.name} has no result of {sequence.name}" for result in results if result not in here]
    read, odd = of_each(here, lambda result: read_result(result, [sequence]))
    notes += [*odd, *(note for each in read.values() for note in each.notes)]
    for number, result in enumerate(results):
        if result.name not in read:
            continue
        boxes = sequence.to_tracker(read[result.name].boxes[sequence.name])
        if len(boxes) != len(sequence):
            notes.append(
                f"{result.name} has {len(boxes)} boxes for the {len(sequence)} frames of {sequence.name}; "
                f"{min(len(boxes), len(sequence))} are shown"
            )
        boxes = boxes[: len(sequence)]
        overlaps = np.where(annotated[: len(boxes)], overlap(boxes, truth[: len(boxes)]), np.nan)
        tracks.append(Track(result.name, target_colour(number), boxes, overlaps))
    if not tracks:
        raise UserError(f"none of the selected trackers has a result of {sequence.name}")
    return tracks, notes


def pictures(sequence: TrackingSequence, tracks: Sequence[Track]) -> Iterator[np.ndarray]:
    """Draw each frame with the boxes, the annotated one in white, above a panel with the trackers' names, their overlap
    in this frame, and its curve up to it.

    Yields:
        uint8 (H, W, 3) RGB.

    Raises:
        ImageReadError: if a frame cannot be read.
    """
    truth = sequence.to_tracker(sequence.ground_truth)
    for index, path in enumerate(sequence.frames):
        image = read_image(path)
        scale = whole_scale(image)
        canvas = enlarge(image, scale)
        if (truth[index, 2:] > 0).all():
            draw_box(canvas, truth[index], GROUND_TRUTH, 5, scale)
        for track in reversed(tracks):  # the first on top
            if index < len(track.boxes):
                draw_box(canvas, track.boxes[index], track.colour, 2, scale)
        draw_label(canvas, f"{sequence.name}  {index + 1}/{len(sequence)}", (8, 8), size=16)
        yield np.concatenate([canvas, _panel(canvas.shape[1], len(sequence), index, tracks)])


def _panel(width: int, length: int, index: int, tracks: Sequence[Track]) -> np.ndarray:
    """Names and overlaps on the left, curves on the right."""
    rows = len(tracks) + 1
    panel = np.full((max(rows * _ROW, _CHART) + 2 * _MARGIN, width, 3), _PANEL, np.uint8)
    names = ["ground truth", *(track.name for track in tracks)]
    numbers = ["overlap", *(_number(track, index) for track in tracks)]
    colours = [GROUND_TRUTH, *(track.colour for track in tracks)]
    column = _MARGIN + 26 + max(label_size(name, _LETTERS)[0] for name in names)
    for row, (name, number, colour) in enumerate(zip(names, numbers, colours, strict=True)):
        top = _MARGIN + row * _ROW
        middle = top + round(label_size(name, _LETTERS)[1] / 2)
        panel[middle - 4 : middle + 4, _MARGIN : _MARGIN + 20] = colour
        draw_label(panel, name, (_MARGIN + 24, top), _TEXT, _LETTERS)
        draw_label(panel, number, (column, top), _TEXT, _LETTERS)
    left = round(column + label_size("overlap", _LETTERS)[0] + 2 * _MARGIN)
    if width - _MARGIN - left >= _NARROWEST:
        _draw_curves(panel[_MARGIN:-_MARGIN, left : width - _MARGIN], length, index, tracks)
    return panel


def _number(track: Track, index: int) -> str:
    if index >= len(track.boxes):
        return "ended"
    return "–" if np.isnan(track.overlaps[index]) else f"{track.overlaps[index]:.2f}"


def _draw_curves(chart: np.ndarray, length: int, index: int, tracks: Sequence[Track]) -> None:
    height, width = chart.shape[:2]
    labels = round(label_size("0.5", 11)[0])
    top, bottom, left, right = 6, height - 7, labels + 4, width - 2
    for level in (0.0, 0.5, 1.0):
        y = round(bottom - level * (bottom - top))
        chart[y, left:right] = _GRID
        draw_label(chart, f"{level:g}", (left - 4 - label_size(f"{level:g}", 11)[0], y - 9), _TEXT, 11)
    x = left + np.arange(length) * (right - 1 - left) / max(1, length - 1)
    chart[top : bottom + 1, round(x[index])] = _TEXT
    for track in reversed(tracks):  # the first on top
        seen = track.overlaps[: index + 1]
        points = np.stack([x[: len(seen)], bottom - seen * (bottom - top)], axis=1)
        for part in np.split(points, np.flatnonzero(np.isnan(seen))):
            part = part[np.isfinite(part).all(1)]
            cv2.polylines(chart, [np.round(part * 16).astype(np.int32)], False, track.colour, 2, cv2.LINE_AA, 4)


def play(
    sequences: Sequence[TrackingSequence],
    results: Sequence[TrackerResults],
    out: Path | None = None,
    fps: float = 25.0,
) -> list[Path]:
    """Play sequences one after another, in a window or as videos.

    Args:
        sequences: with images.
        results: of the trackers to show.
        out: an .mp4 file for a single sequence, or a folder for {sequence}.mp4 of each; None for a window.
        fps: frames per second.

    Returns:
        The videos.

    Raises:
        UserError: if nothing can be shown or written; the message says why. An unfinished video is kept.
    """
    if out is None:
        problem = why_no_window()
        if problem:
            raise UserError(f"no window can be opened, since {problem}; write a video with --out FILE.mp4")
        print(HELP)
    elif out.suffix.lower() == ".mp4" and len(sequences) > 1:
        raise UserError(f"--out {out} is one video for {len(sequences)} sequences; give a folder instead")
    videos = []
    for sequence in sequences:
        tracks, notes = read_tracks(sequence, results)
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
        shown = pictures(sequence, tracks)
        if out is None:
            if not _show(sequence.name, shown, fps):
                break
        else:
            videos.append(out if out.suffix.lower() == ".mp4" else out / f"{sequence.name}.mp4")
            _write(videos[-1], shown, fps, sequence)
    return videos


def _show(title: str, shown: Iterator[np.ndarray], fps: float) -> bool:
    window = ImageWindow(title)
    try:
        return all(window.show(picture, max(1, round(1000 / fps))) for picture in shown)
    finally:
        window.close()


def _write(path: Path, shown: Iterator[np.ndarray], fps: float, sequence: TrackingSequence) -> None:
    writer = VideoWriter(path, fps)
    try:
        for picture in tqdm(shown, total=len(sequence), desc=sequence.name, unit="frame", disable=None):
            writer.add(picture)
    finally:
        writer.close()
