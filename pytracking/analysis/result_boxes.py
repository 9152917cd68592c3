"""A tracker's boxes, one for each line of the annotation, whatever file they come from.

Which line of a file belongs to which frame is established, never assumed: a one-pass run starts from the annotated box.
A file that is one line short and starts from that box ends early. One that starts from another box, and whose first
lines lie on the annotation of the frames after, lacks the line of the first frame, which is put back. What was done is
said in a note.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltr.common.errors import UserError
from ltr.common.listing import some
from pytracking.analysis.box_files import GroundTruth, read_boxes
from pytracking.analysis.box_forms import is_annotated_box
from pytracking.analysis.metrics import overlap, valid_frames
from pytracking.analysis.otb_results import read_otb_results
from pytracking.analysis.tracker_results import TrackerResults
from pytracking.evaluation.datasets.otb_frames import OTB_LENGTHS, OTB_OMITTED
from pytracking.evaluation.datasets.vot_regions import STARTED, is_regions, read_regions

_FIRST_LINES = 20
_ENOUGH = 0.5  # overlap of the first lines that shows which frames they are of


@dataclass(frozen=True)
class AlignedBoxes:
    """A tracker's boxes.

    Attributes:
        boxes: by sequence name, (M, 4) as annotated: line i is of frame i. Zeros where the target was not found.
        notes: what was done to them, a sentence each.
    """

    boxes: dict[str, np.ndarray]
    notes: tuple[str, ...]


def read_result(result: TrackerResults, sequences: Iterable[GroundTruth]) -> AlignedBoxes:
    """Read the boxes of one run of a tracker on those of the sequences that it has.

    Raises:
        UserError: if a file cannot be understood.
    """
    truths = {sequence.name: np.asarray(sequence.ground_truth, np.float64) for sequence in sequences}
    truths = {name: truth for name, truth in truths.items() if name in result.files}
    boxes, restarts, omitted = {}, [], []
    for name, truth in truths.items():
        boxes[name], restarted = _read(result.files[name], truth)
        if restarted:
            restarts.append(f"{name} ({restarted})")
        before = OTB_OMITTED.get(name, 0)
        if before and len(truth) == OTB_LENGTHS[name] and len(boxes[name]) == len(truth) + before:
            boxes[name] = boxes[name][before:]
            omitted.append(name)
    late, notes = _first_line_missing(result.name, boxes, truths)
    for name in late:
        boxes[name] = np.concatenate([truths[name][:1], boxes[name]])
    if restarts:
        notes.append(
            f"{result.name} was started again from the annotation after failures, as VOT's supervised experiment "
            f"does, in {some(restarts)}: these are no scores of one pass"
        )
    notes += [
        f"{result.name} has all annotated frames of {name}: the first {OTB_OMITTED[name]} lines, which the benchmark "
        "leaves out, are left out"
        for name in omitted
    ]
    return AlignedBoxes(boxes, tuple(notes))


def _read(path: Path, truth: np.ndarray) -> tuple[np.ndarray, int]:
    """The boxes of a file, and how often the tracker was started again."""
    if path.suffix.lower() == ".mat":
        boxes, before = read_otb_results(path)
        if before and len(boxes) != len(truth):
            raise UserError(
                f"{path}: its run starts {before} frames after its annotation and has {len(boxes)} boxes for "
                f"{len(truth)} frames; score it against the annotation from there"
            )
        boxes[np.isnan(boxes).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)] = 0  # OTB's 'not found'
        return boxes, 0
    if not is_regions(path):
        return read_boxes(path), 0
    regions = read_regions(path)
    boxes, started = np.nan_to_num(regions.boxes), np.flatnonzero(regions.codes == STARTED)
    started = started[started < len(truth)]
    boxes[started] = np.where(valid_frames(truth[started])[:, None], truth[started], 0)
    return boxes, regions.restarts


def _first_line_missing(
    tracker: str, boxes: dict[str, np.ndarray], truths: dict[str, np.ndarray]
) -> tuple[list[str], list[str]]:
    """Which of a tracker's files lack the line of the first frame.

    One program writes all files of a tracker. Where all are one line short, one that does not start from the annotated
    box shows that the line is left out in all, provided that the first lines of all together fit the second frame
    better: a target that hardly moves fits both.

    Args:
        tracker: its name, for the notes.
        boxes: by sequence, (M, 4).
        truths: by sequence, (N, 4).

    Returns:
        The names of the sequences, and notes.
    """
    short = {
        name: _first_lines(boxes[name], truth)
        for name, truth in truths.items()
        if len(boxes[name]) == len(truth) - 1 and valid_frames(truth[:2]).all()
    }
    late = [name for name, lines in short.items() if lines.of_second_frame]
    all_short = all(len(boxes[name]) == len(truth) - 1 for name, truth in truths.items())
    if late and all_short and np.mean([each.second - each.first for each in short.values()]) > 0:
        late = list(truths)
    notes = []
    if late:
        notes.append(
            f"the files of {tracker} are one line short in {len(late)} of {len(truths)} sequences ({some(late, 3)}): "
            "their first lines are those of the second frame, and the annotated first box is put before them"
        )
    unknown = [name for name, lines in short.items() if name not in late and not lines.annotated]
    if unknown:
        notes.append(
            f"the files of {tracker} are one line short in {some(unknown, 3)}, and their first lines do not tell of "
            "which frame they are: the last frame counts as missing"
        )
    return late, notes


@dataclass(frozen=True)
class _FirstLines:
    """How the first lines of a file that is one line short fit the annotation.

    Attributes:
        annotated: the first is the annotated first box.
        there: the overlap of the first with the annotation of the second frame.
        first: the mean overlap if the first line is of the first frame.
        second: the same if it is of the second.
    """

    annotated: bool
    there: float
    first: float
    second: float

    @property
    def of_second_frame(self) -> bool:
        return not self.annotated and self.there > _ENOUGH and self.second > self.first


def _first_lines(boxes: np.ndarray, truth: np.ndarray) -> _FirstLines:
    count = min(_FIRST_LINES, len(boxes))
    return _FirstLines(
        is_annotated_box(boxes[0], truth[0]),
        _mean_overlap(boxes[:1], truth[1:2]),
        _mean_overlap(boxes[:count], truth[:count]),
        _mean_overlap(boxes[:count], truth[1 : count + 1]),
    )


def _mean_overlap(boxes: np.ndarray, truth: np.ndarray) -> float:
    valid = valid_frames(truth)
    return float(overlap(boxes[valid], truth[valid]).mean()) if valid.any() else 0.0
