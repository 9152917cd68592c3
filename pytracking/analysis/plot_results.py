"""PyTracking's functions for notebooks, `print_results` and `plot_results`, over the scoring of this package."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ltr.common.environment import get_path
from ltr.common.errors import UserError
from pytracking.analysis.plots import write_plots
from pytracking.analysis.score_report import Report
from pytracking.analysis.scoring import score_results
from pytracking.analysis.tables import sequence_table, tracker_table
from pytracking.analysis.tracker_results import find_results
from pytracking.evaluation import SequenceList, TrackerSpec


def print_results(
    trackers: Sequence[TrackerSpec],
    dataset: SequenceList,
    report_name: str | None = None,
    merge_results: bool = False,
    exclude_invalid_frames: bool = False,
) -> Report:
    """Print the table of trackers that have been run.

    Args:
        trackers: such as those of `trackerlist`.
        dataset: as `get_dataset` returns it.
        report_name: title of the table; None for the data set's.
        merge_results: average the numbered runs of a parameter.
        exclude_invalid_frames: leave frames without an annotated target out of the rates.

    Raises:
        UserError: if one of the trackers has no result on the data set, or there is nothing to score.
    """
    report = _score(trackers, dataset, report_name, merge_results, exclude_invalid_frames)
    print(tracker_table(report))
    return report


def print_per_sequence_results(
    trackers: Sequence[TrackerSpec],
    dataset: SequenceList,
    report_name: str | None = None,
    merge_results: bool = False,
    exclude_invalid_frames: bool = False,
) -> Report:
    """Print the AUC of each sequence; otherwise as :func:`print_results`."""
    report = _score(trackers, dataset, report_name, merge_results, exclude_invalid_frames)
    print(sequence_table(report))
    return report


def plot_results(
    trackers: Sequence[TrackerSpec],
    dataset: SequenceList,
    report_name: str,
    merge_results: bool = False,
    exclude_invalid_frames: bool = False,
) -> list[Path]:
    """Write the plots of trackers that have been run to {results}/analysis/{report_name}; otherwise as
    :func:`print_results`.

    Returns:
        The files.
    """
    report = _score(trackers, dataset, report_name, merge_results, exclude_invalid_frames)
    return write_plots(report, get_path("results") / "analysis" / report_name)


def _score(
    trackers: Sequence[TrackerSpec], dataset: SequenceList, title: str | None, merge_runs: bool, exclude_invalid: bool
) -> Report:
    results = get_path("results")
    wanted = [spec.results_folder(Path()).as_posix() for spec in trackers]
    found = find_results(results, [sequence.name for sequence in dataset], wanted)
    found = [result for result in found if result.name in wanted]  # without the numbered runs of one that has no number
    missing = [name for name in wanted if name not in [result.name for result in found]]
    if missing:
        raise UserError(f"{', '.join(missing)} has no result on {dataset.title} in {results}; run it with ebm-track")
    report = score_results(
        title or dataset.title, list(dataset), found, exclude_invalid=exclude_invalid, merge_runs=merge_runs
    )
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    return report
