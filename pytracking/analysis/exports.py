"""Writes results as other tools read them.

::

    got10k        {tracker}/{sequence}.txt and {tracker}/times/{sequence}_time.txt; of GOT-10k's own sequences
                  {tracker}/{sequence}/{sequence}_001.txt, _002 ... and {sequence}_time.txt
    pysot         {tracker}/{sequence}.txt
    pytracking    {tracker}/{param}[_{run:03d}]/{sequence}.txt and {sequence}_time.txt

got10k and pysot read commas, PyTracking tabs. The coordinates are those of the annotation, as in all three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltr.common.errors import UserError
from ltr.common.files import write_text, writing
from ltr.common.listing import some
from pytracking.analysis.box_files import GroundTruth
from pytracking.analysis.result_boxes import read_result
from pytracking.analysis.result_text import boxes_text, times_text
from pytracking.analysis.sequence_names import name_for
from pytracking.analysis.tables import ANOTHER_FOLDER, make_folder
from pytracking.analysis.tracker_results import TrackerResults


@dataclass(frozen=True)
class _Run:
    """One run of one tracker: boxes (N, 4) and seconds (N,) by sequence."""

    result: TrackerResults
    boxes: dict[str, np.ndarray]
    times: dict[str, np.ndarray]


Files = Iterator[tuple[str, str]]


def _got10k(runs: Sequence[_Run], integer: bool) -> Files:
    """The runs of one parameter, of which GOT-10k's own sequences make repetitions."""
    for run in runs:
        folder = _flat(run.result.name)
        for name in filter(lambda name: not name.startswith("GOT-10k_"), run.boxes):
            theirs = name_for("got10k", name)
            yield f"{folder}/{theirs}.txt", boxes_text(run.boxes[name], integer=integer)
            if name in run.times:
                yield f"{folder}/times/{theirs}_time.txt", times_text([run.times[name]])
    folder = _flat(runs[0].result.parameter if len(runs) > 1 else runs[0].result.name)
    for name in dict.fromkeys(name for run in runs for name in run.boxes if name.startswith("GOT-10k_")):
        having = [run for run in runs if name in run.boxes]
        for number, run in enumerate(having, start=1):
            yield f"{folder}/{name}/{name}_{number:03d}.txt", boxes_text(run.boxes[name], integer=integer)
        times = [run.times[name] for run in having if name in run.times]
        if len(times) == len(having) and len({len(each) for each in times}) == 1:
            yield f"{folder}/{name}/{name}_time.txt", times_text(times)


def _pysot(runs: Sequence[_Run], integer: bool) -> Files:
    for run in runs:
        for name, boxes in run.boxes.items():
            yield f"{_flat(run.result.name)}/{name_for('pysot', name)}.txt", boxes_text(boxes, integer=integer)


def _pytracking(runs: Sequence[_Run], integer: bool) -> Files:
    for run in runs:
        tracker, _, parameter = run.result.parameter.partition("/")
        number = "" if run.result.run is None else f"_{run.result.run:03d}"
        folder = f"{tracker}/{_flat(parameter) or 'default'}{number}"
        for name, boxes in run.boxes.items():
            theirs = name_for("pytracking", name)
            yield f"{folder}/{theirs}.txt", boxes_text(boxes, "\t", integer)
            if name in run.times:
                yield f"{folder}/{theirs}_time.txt", times_text([run.times[name]])


FORMATS: dict[str, Callable[[Sequence[_Run], bool], Files]] = {
    "got10k": _got10k,
    "pysot": _pysot,
    "pytracking": _pytracking,
}
"""By the name of the tool: names and texts of the files of the runs of one parameter."""


def export(
    tool: str, results: Sequence[TrackerResults], sequences: Sequence[GroundTruth], out: Path, integer: bool = False
) -> tuple[list[Path], list[str]]:
    """Write results as another tool reads them.

    Args:
        tool: a key of :data:`FORMATS`.
        results: of the trackers.
        sequences: those to write.
        out: the folder of all trackers.
        integer: truncate the boxes, as PyTracking does. Published numbers rest on it; it costs accuracy.

    Returns:
        The folders of the trackers, and notes.

    Raises:
        UserError: if a result cannot be understood, two trackers would get one name, or a file cannot be written.
    """
    groups: dict[tuple[str, bool], list[_Run]] = {}
    notes = []
    for result in results:
        run, said = _read(tool, result, sequences)
        notes += said
        groups.setdefault((result.parameter, result.run is not None), []).append(run)
    folders: dict[Path, str] = {}
    for runs in groups.values():
        for name, text in FORMATS[tool](runs, integer):
            path = out / name
            folder = out / Path(*Path(name).parts[: 2 if tool == "pytracking" else 1])
            if folders.setdefault(folder, runs[0].result.name) != runs[0].result.name:
                raise UserError(f"{folders[folder]} and {runs[0].result.name} would both be {folder}; export one alone")
            make_folder(path.parent)
            with writing(path, ANOTHER_FOLDER):
                write_text(path, text)
    return list(folders), notes


def _read(tool: str, result: TrackerResults, sequences: Sequence[GroundTruth]) -> tuple[_Run, list[str]]:
    read = read_result(result.checked(), sequences)
    notes = list(read.notes)
    missing = [sequence.name for sequence in sequences if sequence.name not in read.boxes]
    if missing:
        notes.append(f"{result.name} has no result of {len(missing)} of {len(sequences)} sequences: {some(missing)}")
    frames = {sequence.name: len(sequence.ground_truth) for sequence in sequences}
    other = [name for name, boxes in read.boxes.items() if len(boxes) != frames[name]]
    if other:
        notes.append(f"{result.name} has another number of boxes than of frames in {some(other)}: {tool} may refuse it")
    times = {name: result.times(name) for name in read.boxes}
    return _Run(result, read.boxes, {name: each for name, each in times.items() if each is not None}), notes


def _flat(name: str) -> str:
    return name.replace("/", "_")
