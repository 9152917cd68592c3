"""The commands of `ebm-analyse` that write results for others: `pack` and `export`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ltr.common.environment import get_path
from ltr.common.errors import UserError
from pytracking.analysis.exports import FORMATS, export
from pytracking.analysis.submissions import SUBMISSIONS, groups, pack
from pytracking.commands.analyse_inputs import no_result, print_notes, read_ground_truth, read_results
from pytracking.evaluation.datasets import get_dataset


def add_output_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `pack` and `export` by a function of name, what it runs, one line of help, and an example."""
    text = "write the .zip that a benchmark's server takes; what is not complete is refused"
    example = "got10k --trackers atom/ebm"
    command = add("pack", pack_results, text, example, dataset="the benchmark's", images=True)
    command.usage = f"ebm-analyse pack {{{','.join(SUBMISSIONS)}}} [options]"
    command.add_argument("benchmark", choices=SUBMISSIONS, metavar="BENCHMARK", help=", ".join(SUBMISSIONS))
    command.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where (default: {results}/submissions/{benchmark})"
    )
    command.set_defaults(dataset_name=None)  # the benchmark's, unless it is named

    text = "write results as other tools read them"
    command = add("export", export_results, text, "--format got10k --out results/OTB2015")
    command.usage = f"ebm-analyse export --format {{{','.join(FORMATS)}}} --out FOLDER [options]"
    command.add_argument("--format", choices=FORMATS, required=True, metavar="TOOL", help=", ".join(FORMATS))
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the folder of all trackers")
    command.add_argument(
        "--integer", action="store_true", help="truncate the boxes, as PyTracking does; it costs accuracy"
    )


def pack_results(arguments: argparse.Namespace) -> None:
    """`pack`: write a file for each tracker, or for each run where the benchmark takes one.

    Raises:
        UserError: if any of them is refused; the others are written all the same.
    """
    submission = SUBMISSIONS[arguments.benchmark]
    dataset = get_dataset(
        *(arguments.dataset_name or [submission.dataset]), root=arguments.dataset_root, origin=arguments.origin
    )
    for name, problem in dataset.problems.items():
        raise UserError(f"{name} of {dataset.title} cannot be packed: {problem}")
    if dataset.expected and len(dataset) < dataset.expected:
        raise UserError(
            f"{dataset.root} has {len(dataset)} of the {dataset.expected} sequences of {dataset.title}, and a file for "
            "the server needs all; name the whole set with --dataset_root"
        )
    results = read_results(arguments, [sequence.name for sequence in dataset])
    if not results:
        raise no_result(dataset.title, arguments)
    out = arguments.out or get_path("results", arguments.results) / "submissions" / arguments.benchmark
    refused = []
    for name, runs in groups(submission, results).items():
        try:
            path = pack(submission, name, runs, list(dataset), out)
        except UserError as error:
            refused.append(error)
            continue
        many = f", {len(runs)} runs" if len(runs) > 1 else ""
        print(f"written: {path} ({len(dataset)} sequences{many}); {submission.takes}")
    print_notes([str(error) for error in refused[1:]])
    if refused:
        raise refused[0]


def export_results(arguments: argparse.Namespace) -> None:
    """`export`: write the selected results in another tool's layout."""
    title, sequences, notes = read_ground_truth(arguments)
    results = read_results(arguments, [sequence.name for sequence in sequences])
    if not results:
        raise no_result(title, arguments)
    folders, said = export(arguments.format, results, sequences, arguments.out, arguments.integer)
    print_notes([*notes, *said])
    for folder in folders:
        print(f"written: {folder}")
