"""PyTracking's functions for notebooks, `print_results` and `plot_results`, over the scoring of this package.

Its other arguments work, too. Two of them have nothing to decide here: scores are always computed anew
(`force_evaluation`), and tables and plots have all measures (`plot_types`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ltr.common.environment import get_path
from ltr.common.errors import UserError
from pytracking.analysis.plots import write_plots
from pytracking.analysis.score_report import Report
from pytracking.analysis.scoring import score_results
from pytracking.analysis.tables import sequence_table, tracker_table
from pytracking.analysis.tracker_results import find_results
from pytracking.evaluation import SequenceList, TrackerSpec

_UNNEEDED = ("plot_types", "force_evaluation")


def print_results(
    trackers: Sequence[TrackerSpec],
    dataset: SequenceList,
    report_name: str | None = None,
    merge_results: bool = False,
    **options: Any,
) -> Report:
    """Print the table of trackers that have been run.

    Args:
        trackers: such as those of `trackerlist`.
        dataset: as `get_dataset` returns it.
        report_name: title of the table; None for the data set's.
        merge_results: average the numbered runs of a parameter.
        options: `exclude_invalid_frames` leaves frames without an annotated target out of the rates;
            `skip_missing_seq=False` refuses to score while a tracker lacks a sequence.

    Raises:
        UserError: if one of the trackers has no result on the data set, or there is nothing to score.
        TypeError: if there is no such option.
    """
    report = _score(trackers, dataset, report_name, merge_results, **options)
    print(tracker_table(report))
    return report


def print_per_sequence_results(
    trackers: Sequence[TrackerSpec],
    dataset: SequenceList,
    report_name: str | None = None,
    merge_results: bool = False,
    **options: Any,
) -> Report:
    """Print the AUC of each sequence; otherwise as :func:`print_results`."""
    report = _score(trackers, dataset, report_name, merge_results, **options)
    print(sequence_table(report))
    return report


def plot_results(
    trackers: Sequence[TrackerSpec],
    dataset: SequenceList,
    report_name: str,
    merge_results: bool = False,
    **options: Any,
) -> list[Path]:
    """Write the plots of trackers that have been run to {results}/analysis/{report_name}; otherwise as
    :func:`print_results`.

    Returns:
        The files.
    """
    report = _score(trackers, dataset, report_name, merge_results, **options)
    return write_plots(report, get_path("results") / "analysis" / report_name)


def _score(
    trackers: Sequence[TrackerSpec],
    dataset: SequenceList,
    title: str | None,
    merge_runs: bool,
    *,
    exclude_invalid_frames: bool = False,
    skip_missing_seq: bool = True,
    plot_bin_gap: float = 0.05,
    **others: Any,
) -> Report:
    unknown = [name for name in others if name not in _UNNEEDED]
    if unknown:
        raise TypeError(f"there is no option {unknown[0]}")
    if plot_bin_gap != 0.05:
        raise UserError(f"success is measured at overlaps 0.05 apart, and not {plot_bin_gap:g}")
    results = get_path("results")
    wanted = {spec.results_folder(Path()).as_posix(): spec for spec in trackers}
    found = find_results(results, [sequence.name for sequence in dataset], list(wanted))
    found = [result for result in found if result.name in wanted]  # without the numbered runs of one that has no number
    missing = [name for name in wanted if name not in [result.name for result in found]]
    if missing:
        raise UserError(f"{', '.join(missing)} has no result on {dataset.title} in {results}; run it with ebm-track")
    named = [
        replace(result, name=shown + result.name.removeprefix(result.parameter)) if shown else result
        for result in found
        for shown in [wanted[result.name].display_name]
    ]
    report = score_results(
        title or dataset.title,
        list(dataset),
        named,
        exclude_invalid=exclude_invalid_frames,
        merge_runs=merge_runs,
        missing="skip" if skip_missing_seq else "error",
    )
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    return report
