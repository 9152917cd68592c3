"""Where and how a tracker fails, frame by frame, from its boxes and the annotation.

A failure is a stretch of frames whose box overlaps the annotated one by less than 0.5. Frames count from 1. Frames
without an annotated target, or with one that the benchmark calls invisible, are ignored: they neither belong to a
stretch nor end it. Each frame of a failure is

* "lost": the boxes do not overlap, or their centres are further apart than the annotated box's diagonal; else
* "too large": the box has more than twice the annotated area;
* "too small": it has less than half of it;
* "beside": its size fits, its position does not;

and the failure has the kind of most of its frames; of equally frequent kinds, the first in this list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ltr.common.errors import UserError
from pytracking.analysis.box_files import GroundTruth
from pytracking.analysis.metrics import center_error, fit_prediction, overlap, valid_frames
from pytracking.analysis.result_boxes import read_result
from pytracking.analysis.tables import align
from pytracking.analysis.tracker_results import TrackerResults

KINDS = ("lost", "too large", "too small", "beside")
ON_TARGET = 0.5
"""The least overlap with the annotated box that is not a failure."""
SHORTEST = 5
"""Default of the least number of frames in a failure."""


@dataclass(frozen=True)
class Failure:
    """One stretch of frames.

    Attributes:
        first: its first frame, from 1.
        last: its last frame.
        frames: number of its frames with an annotated target.
        kind: one of KINDS.
        found_again: a later frame has the tracker on the target.
    """

    first: int
    last: int
    frames: int
    kind: str
    found_again: bool


@dataclass(frozen=True)
class SequenceFailures:
    """The failures of one sequence.

    Attributes:
        failures: in order of time.
        frames: number of frames with an annotated target.
        kinds: number of frames in failures, by the frame's own kind.
        short: number of frames in stretches too short to be listed.
    """

    failures: tuple[Failure, ...]
    frames: int
    kinds: dict[str, int]
    short: int

    @property
    def failed(self) -> int:
        """The number of frames in failures."""
        return sum(self.kinds.values())


def kinds_of(pred: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """What is wrong in each frame.

    Args:
        pred: (N, 4) predicted boxes.
        gt: (N, 4) annotated boxes, a target in each.

    Returns:
        (N,) int: an index of KINDS, or -1 if the overlap is at least 0.5.
    """
    iou = overlap(pred, gt)
    ratio = pred[:, 2:].prod(axis=1) / gt[:, 2:].prod(axis=1)
    lost = (iou == 0) | (center_error(pred, gt) > np.hypot(gt[:, 2], gt[:, 3]))
    return np.select([iou >= ON_TARGET, lost, ratio > 2, ratio < 0.5], [-1, 0, 1, 2], default=3)


def find_failures(pred: np.ndarray, gt: np.ndarray, shortest: int = SHORTEST) -> SequenceFailures:
    """Find the failures of at least `shortest` frames in one sequence.

    Args:
        pred: (M, 4) predicted boxes, fitted to the annotation as for the scores, see :func:`fit_prediction`.
        gt: (N, 4) annotated boxes.
        shortest: in frames.

    Raises:
        ValueError: if :func:`fit_prediction` does.
    """
    pred = fit_prediction(pred, gt)[0]
    numbers = np.flatnonzero(valid_frames(gt))  # of the frames with a target, from 0
    kinds = kinds_of(pred[numbers], gt[numbers])
    # A stretch starts at the first failing frame and ends before the next good one.
    changes = np.diff(np.concatenate([[0], (kinds >= 0).astype(int), [0]]))
    failures, counts, short = [], np.zeros(len(KINDS), int), 0
    for start, stop in zip(np.flatnonzero(changes == 1), np.flatnonzero(changes == -1), strict=True):
        if stop - start < shortest:
            short += int(stop - start)
            continue
        count = np.bincount(kinds[start:stop], minlength=len(KINDS))
        counts += count
        failures.append(
            Failure(
                first=int(numbers[start]) + 1,
                last=int(numbers[stop - 1]) + 1,
                frames=int(stop - start),
                kind=KINDS[count.argmax()],
                found_again=bool(stop < len(kinds)),
            )
        )
    return SequenceFailures(tuple(failures), len(numbers), dict(zip(KINDS, counts.tolist(), strict=True)), short)


@dataclass(frozen=True)
class TrackerFailures:
    """The failures of one run of a tracker.

    Attributes:
        tracker: its name.
        shortest: least number of frames in a failure.
        sequences: failures by sequence.
        missing: sequences without a result.
        notes: what was done to the boxes to read them.
    """

    tracker: str
    shortest: int
    sequences: dict[str, SequenceFailures]
    missing: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def shares(self) -> dict[str, float]:
        """The share of frames in failures by kind, and in shorter stretches ('short'): in [0, 1], the mean over
        sequences."""
        found = self.sequences.values()
        shares = {kind: float(np.mean([each.kinds[kind] / each.frames for each in found])) for kind in KINDS}
        return {**shares, "short": float(np.mean([each.short / each.frames for each in found]))}

    def table(self) -> str:
        """A row for each failure, the sequence with most failed frames first, and a line on the frames by kind."""
        some = {name: found for name, found in self.sequences.items() if found.failures}
        rows = [
            (
                name,
                f"{found.failed}/{found.frames}",
                f"{failure.first}-{failure.last}",
                str(failure.frames),
                failure.kind,
                "yes" if failure.found_again else "no",
            )
            for name, found in sorted(some.items(), key=lambda item: (-item[1].failed, item[0]))
            for failure in found.failures
        ]
        shares = self.shares()
        short = shares.pop("short")
        by_kind = ", ".join(f"{kind} {100 * share:.1f}" for kind, share in shares.items())
        lines = [
            f"{self.tracker}: {len(rows)} failures of {self.shortest} frames or more, "
            f"in {len(some)} of {len(self.sequences)} sequences",
            f"frames in failures, % of all, mean over sequences: {by_kind}; together {100 * sum(shares.values()):.1f}, "
            f"and {100 * short:.1f} in shorter ones",
        ]
        if rows:
            header = ("Sequence", "Failed", "Stretch", "Frames", "Kind", "Found again")
            lines.insert(1, align(header, rows))
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything in the table, and the numbers of every sequence."""
        return {
            "tracker": self.tracker,
            "shortest": self.shortest,
            "shares": self.shares(),
            "missing_sequences": list(self.missing),
            "sequences": {
                name: {
                    "frames": found.frames,
                    "failed_frames": found.failed,
                    "kinds": found.kinds,
                    "short": found.short,
                    "failures": [asdict(failure) for failure in found.failures],
                }
                for name, found in self.sequences.items()
            },
        }


def _visible_truth(sequence: GroundTruth) -> np.ndarray:
    """The annotation, with no box where the benchmark says that the target is not visible."""
    if sequence.visible is None:
        return sequence.ground_truth
    return np.where(sequence.visible[:, None], sequence.ground_truth, 0)


def tracker_failures(
    result: TrackerResults, sequences: Mapping[str, GroundTruth], shortest: int = SHORTEST
) -> TrackerFailures:
    """Find the failures of one run of a tracker on the sequences (by name) that it has a result of.

    Raises:
        UserError: if a result file cannot be understood or does not fit the ground truth.
    """
    found = {}
    read = read_result(result, sequences.values())
    for name, boxes in read.boxes.items():
        try:
            found[name] = find_failures(boxes, _visible_truth(sequences[name]), shortest)
        except ValueError as error:
            path = result.files[name]
            raise UserError(f"{path} cannot be compared with the ground truth of {name}: {error}") from error
    missing = tuple(name for name in sequences if name not in result.files)
    return TrackerFailures(result.name, shortest, found, missing, read.notes)
