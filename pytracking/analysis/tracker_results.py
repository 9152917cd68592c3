"""Finds trackers' results on disk.

Own results lie in {results}/{tracker}/{param}[_{run:03d}]/, with run.json, which says how they were made. Results of
others are a folder or an archive in any of the layouts of :mod:`pytracking.analysis.result_layouts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ltr.common.errors import UserError
from ltr.common.files import read_text
from ltr.common.plain import from_json
from pytracking.analysis.box_files import match_files, read_times
from pytracking.analysis.result_layouts import find_runs, times_file
from pytracking.evaluation.datasets.files import subfolders
from pytracking.evaluation.results import RUN_FOLDER

T = TypeVar("T")


@dataclass(frozen=True)
class TrackerResults:
    """One run of one tracker.

    Attributes:
        name: as shown.
        folder: where its files are.
        files: box file by sequence name.
        run: its number; None without one.
        problem: why its files cannot be told apart; None if they can.
    """

    name: str
    folder: Path
    files: dict[str, Path]
    run: int | None = None
    problem: UserError | None = None

    @property
    def parameter(self) -> str:
        """The name without the run number: 'atom/ebm' for 'atom/ebm_002'."""
        return self.name if self.run is None else self.name[: -len("_000")]

    def times(self, sequence: str) -> np.ndarray | None:
        """Seconds per frame of a sequence, (N,); None if none were recorded."""
        found = times_file(self.files[sequence])
        return None if found is None else read_times(*found)

    def checked(self) -> TrackerResults:
        """The results themselves.

        Raises:
            UserError: if there is a problem.
        """
        if self.problem is not None:
            raise self.problem
        return self

    def record(self) -> dict[str, Any] | None:
        """How the results were made, from run.json beside them; None without a readable one."""
        try:
            record = from_json(read_text(self.folder / "run.json"))
        except (OSError, ValueError):
            return None  # the boxes can be scored all the same
        return record if isinstance(record, dict) else None


def find_results(results: Path, sequences: Sequence[str], wanted: Sequence[str] | None = None) -> list[TrackerResults]:
    """The runs in {results}/{tracker}/ that have at least one of the sequences, sorted by name.

    Args:
        results: the folder of all results.
        sequences: names.
        wanted: select 'atom/ebm' (this folder and its numbered runs), 'atom/ebm_002' (that run), or 'atom' (every
            parameter).

    Raises:
        UserError: if a wanted one is not there or has none of the sequences.
    """
    if wanted and not results.is_dir():
        raise UserError(
            f"the results folder {results} does not exist; run the tracker first, or name the folder with --results"
        )
    found = []
    # Without a results folder, --external results can still be compared.
    trackers = subfolders(results) if results.is_dir() else []
    folders = [folder for tracker in trackers for folder in subfolders(tracker)]
    for folder in folders:
        name = f"{folder.parent.name}/{folder.name}"
        run = RUN_FOLDER.fullmatch(folder.name)
        aliases = {folder.parent.name, name} | ({f"{folder.parent.name}/{run['param']}"} if run else set())
        if wanted and aliases.isdisjoint(wanted):
            continue
        files, problem = _matched(folder, sequences)
        if files or problem:
            found.append((aliases, TrackerResults(name, folder, files, int(run["run"]) if run else None, problem)))
    for name in wanted or ():
        if not any(name in aliases for aliases, _ in found):
            there = ", ".join(f"{f.parent.name}/{f.name}" for f in folders) or "nothing"
            raise UserError(f"no result of {name} for these sequences in {results}; found there: {there}")
    return [result for _, result in found]


def external_results(name: str | None, path: Path, sequences: Sequence[str]) -> list[TrackerResults]:
    """Others' raw boxes, in any of the layouts of :mod:`pytracking.analysis.result_layouts`.

    Args:
        name: of the tracker, or of the folder that holds the results of several; None for the folder's own.
        path: a folder or a .zip file.
        sequences: names.

    Returns:
        One for each run of each tracker.

    Raises:
        UserError: if there is no such folder, or it has none of the sequences.
    """
    runs = find_runs(path, sequences)
    if not runs:
        raise UserError(f"{path} holds no result for any of the {len(sequences)} sequences ({sequences[0]}.txt, ...)")
    alone = len({run.tracker for run in runs}) == 1  # one folder deeper, it is still the one that was named
    found = []
    for run in runs:
        parts = [name or "", "" if alone and name else run.tracker]
        shown = "/".join(part for part in parts if part) or path.resolve().stem
        shown += "" if run.number is None else f"_{run.number:03d}"
        folder = path if path.is_file() else run.folder  # of an archive, not where it was unpacked to
        found.append(TrackerResults(shown, folder, run.files, problem=run.problem))
    numbered = [RUN_FOLDER.fullmatch(each.name) for each in found]
    counts = Counter(match["param"] for match in numbered if match)
    # ToMP_101 alone is no run of a ToMP.
    return [
        replace(each, run=int(match["run"])) if match and counts[match["param"]] > 1 else each
        for each, match in zip(found, numbered, strict=True)
    ]


def _matched(folder: Path, sequences: Sequence[str]) -> tuple[dict[str, Path], UserError | None]:
    """The box files by sequence, and why they cannot be told apart if they cannot."""
    try:
        return match_files(folder, sequences, own=True), None
    except UserError as error:
        return {}, error


def of_each(
    results: Sequence[TrackerResults], compute: Callable[[TrackerResults], T]
) -> tuple[dict[str, T], list[str]]:
    """What `compute` makes of each tracker's results, by name; and a note on each that cannot be understood.

    Raises:
        UserError: if none can be understood; the one of the first.
    """
    found: dict[str, T] = {}
    errors: dict[str, UserError] = {}
    for result in results:
        try:
            found[result.name] = compute(result.checked())
        except UserError as error:
            errors[result.name] = error
    if errors and not found:
        raise next(iter(errors.values()))
    return found, [f"{name} is left out: {error}" for name, error in errors.items()]
