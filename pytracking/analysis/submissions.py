"""Packs results as the benchmarks' servers and toolkits take them, and refuses what is not complete.

::

    got10k        {sequence}/{sequence}_001.txt, _002 ..., a file for each run, and {sequence}_time.txt with a column
                  for each: what the got10k toolkit's own report packs, for http://got-10k.aitestunion.com
    trackingnet   {sequence}.txt, for https://eval.tracking-net.org
    lasot         {tracker}_tracking_result/{sequence}.txt. LaSOT has no server: its authors' toolkit reads this folder

Every line is x,y,w,h in the coordinates of the annotation, in which results are stored.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltr.common.errors import UserError
from ltr.common.files import replace_file, writing
from ltr.common.listing import some
from pytracking.analysis.box_files import GroundTruth, read_boxes
from pytracking.analysis.box_forms import REMEDIES, form_of
from pytracking.analysis.result_text import boxes_text, times_text
from pytracking.analysis.tables import ANOTHER_FOLDER, make_folder
from pytracking.analysis.tracker_results import TrackerResults

Members = Iterator[tuple[str, str]]


@dataclass(frozen=True)
class CheckedRun:
    """One run, complete.

    Attributes:
        boxes: by sequence, (N, 4).
        times: by sequence, seconds (N,); empty where the benchmark wants none.
    """

    boxes: dict[str, np.ndarray]
    times: dict[str, np.ndarray]


@dataclass(frozen=True)
class Submission:
    """What a benchmark takes.

    Attributes:
        dataset: its name among the data sets.
        takes: who takes the file.
        repetitions: it takes several runs of a tracker in one file.
        times: it wants the seconds of each frame.
        members: makes the names and texts of the files from the tracker's name and its runs.
    """

    dataset: str
    takes: str
    repetitions: bool
    times: bool
    members: Callable[[str, Sequence[CheckedRun]], Members]


def _got10k(tracker: str, runs: Sequence[CheckedRun]) -> Members:
    for name in runs[0].boxes:
        for number, run in enumerate(runs, start=1):
            yield f"{name}/{name}_{number:03d}.txt", boxes_text(run.boxes[name])
        yield f"{name}/{name}_time.txt", times_text([run.times[name] for run in runs])


def _trackingnet(tracker: str, runs: Sequence[CheckedRun]) -> Members:
    for name, boxes in runs[0].boxes.items():
        yield f"{name}.txt", boxes_text(boxes)


def _lasot(tracker: str, runs: Sequence[CheckedRun]) -> Members:
    for name, boxes in runs[0].boxes.items():
        yield f"{tracker}_tracking_result/{name}.txt", boxes_text(boxes)


SUBMISSIONS = {
    "got10k": Submission("got10k_test", "http://got-10k.aitestunion.com takes it", True, True, _got10k),
    "trackingnet": Submission("trackingnet", "https://eval.tracking-net.org takes it", False, False, _trackingnet),
    "lasot": Submission("lasot", "unpack it in tracking_results/ of LaSOT's toolkit", False, False, _lasot),
}
"""By the name of the benchmark."""


def groups(submission: Submission, results: Sequence[TrackerResults]) -> dict[str, list[TrackerResults]]:
    """The runs that go into one file, by the file's name without its ending."""
    found: dict[tuple[str, bool], list[TrackerResults]] = {}
    for result in results:
        together = submission.repetitions and result.run is not None
        found.setdefault((result.parameter if together else result.name, together), []).append(result)
    named = {}
    for runs in found.values():
        first, last = runs[0], runs[-1]
        name = f"{first.name}-{last.run:03d}" if len(runs) > 1 and last.run is not None else first.name
        named[name.replace("/", "_")] = runs
    return named


def pack(
    submission: Submission, name: str, runs: Sequence[TrackerResults], sequences: Sequence[GroundTruth], folder: Path
) -> Path:
    """Write one file.

    Args:
        submission: for whom.
        name: of the file, without its ending, and of the tracker in it.
        runs: what goes into it.
        sequences: all of the benchmark's.
        folder: where it is written.

    Raises:
        UserError: if a run lacks a sequence, a box or a time, or the file cannot be written.
    """
    checked = [_check(submission, run, sequences) for run in runs]
    path = folder / f"{name}.zip"
    make_folder(folder)
    with writing(path, ANOTHER_FOLDER):
        replace_file(path, lambda temporary: _write(temporary, submission.members(name, checked)))
    return path


def _write(path: Path, members: Members) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members:
            entry = zipfile.ZipInfo(name)  # of 1980: the same boxes give the same file
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, text)


def _check(submission: Submission, run: TrackerResults, sequences: Sequence[GroundTruth]) -> CheckedRun:
    run.checked()
    missing = [sequence.name for sequence in sequences if sequence.name not in run.files]
    if missing:
        raise UserError(
            f"{run.name} has no result of {len(missing)} of {len(sequences)} sequences ({some(missing, 5)}); run "
            "ebm-track again, which does what is missing"
        )
    checked = CheckedRun({}, {})
    problems = {}
    for sequence in sequences:
        try:
            checked.boxes[sequence.name] = _checked_boxes(run.files[sequence.name], sequence)
            if submission.times:
                checked.times[sequence.name] = _checked_times(run, sequence)
        except UserError as problem:
            problems[sequence.name] = problem
    if problems:
        others = list(problems)[1:]
        more = f" (and {len(others)} more: {some(others, 5)})" if others else ""
        raise UserError(f"{run.name} is not complete: {next(iter(problems.values()))}{more}")
    return checked


def _checked_boxes(path: Path, sequence: GroundTruth) -> np.ndarray:
    boxes, frames = read_boxes(path, not_found=np.nan), len(sequence.ground_truth)
    lost = np.flatnonzero(np.isnan(boxes).any(axis=1))
    if len(lost):
        raise UserError(f"{path}, line {lost[0] + 1}: NaN or -1 in place of a box; write the last box known")
    if len(boxes) != frames:
        raise UserError(f"{path} has {len(boxes)} boxes for {frames} frames; delete it, and run that sequence again")
    form = form_of(boxes, sequence.ground_truth)
    if form is None:
        raise UserError(f"{path} starts from another box than the sequence does; was it run on another data set?")
    if form:
        raise UserError(f"{path}: its first box is the annotated one in the form {form}; {REMEDIES[form]}")
    return boxes


def _checked_times(run: TrackerResults, sequence: GroundTruth) -> np.ndarray:
    times, frames = run.times(sequence.name), len(sequence.ground_truth)
    if times is None:
        raise UserError(f"{run.folder} has no times of {sequence.name}, {sequence.name}_time.txt")
    if len(times) != frames:
        raise UserError(f"{run.folder} has {len(times)} times of {sequence.name} for {frames} frames")
    return times
