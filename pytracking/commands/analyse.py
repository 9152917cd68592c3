"""Score trackers' boxes against ground truth, compare trackers and see where they fail: `ebm-analyse`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ltr.common.command_line import CommandParser, positive_int
from ltr.common.environment import get_path
from ltr.common.errors import UserError, cli_main
from ltr.common.files import write_json, writing
from pytracking.analysis.box_files import GroundTruth
from pytracking.analysis.coverage import coverage, has_densities
from pytracking.analysis.failures import SHORTEST, tracker_failures
from pytracking.analysis.html_report import write_html
from pytracking.analysis.playback import play
from pytracking.analysis.plots import write_plots
from pytracking.analysis.score_report import SORT_KEYS, Report
from pytracking.analysis.scoring import score_results
from pytracking.analysis.speed import speed_notes
from pytracking.analysis.tables import (
    ANOTHER_FOLDER,
    columns_of,
    leading,
    make_folder,
    sequence_table,
    tracker_table,
    write_tables,
)
from pytracking.analysis.tracker_results import of_each
from pytracking.commands.analyse_inputs import add_inputs, no_result, print_notes, read_ground_truth, read_results
from pytracking.commands.analyse_outputs import add_output_commands
from pytracking.evaluation.datasets import get_dataset

_EXAMPLES = """\
examples:
  ebm-analyse --dataset_name otb
      print the table; write tables, JSON and plots to {results}/analysis/otb
  ebm-analyse table --trackers atom/ebm opencv/csrt --per_sequence
  ebm-analyse failures --dataset_name generated
  ebm-analyse table --annotations otb_annotations --external ECO=otb_results/ECO
      raw boxes of others, against ground truth without images

`ebm-analyse COMMAND --help` lists a command's options."""


@cli_main
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        argv.insert(0, "all")
    arguments = build_parser().parse_args(argv)
    arguments.run(arguments)
    return 0


# -- the command line --------------------------------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="ebm-analyse",
        description="Score trackers' boxes against ground truth, compare trackers, and see where they fail.",
        examples=_EXAMPLES,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")

    def add(
        name: str, run: Callable[[argparse.Namespace], None], text: str, example: str, **inputs: Any
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            usage=f"ebm-analyse {name} [options]",
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            examples=f"example:\n  ebm-analyse {name} {example}",
        )
        command.set_defaults(run=run)
        add_inputs(command, **inputs)
        return command

    text = "print the table; write tables, JSON and plots to a folder (the default)"
    _add_scoring(add("all", score, text, "--dataset_name otb nfs"), tables=True, out="{results}/analysis/{dataset}")
    text = "print the table; with --out, also write it as text, Markdown, CSV, JSON"
    _add_scoring(add("table", score, text, "--trackers atom --merge_runs --halves"), tables=True, out="no files")
    text = "write success, precision and attribute plots as PNG, PDF and TikZ"
    _add_scoring(add("plot", score, text, "--dataset_name otb --out figures"), out="{results}/analysis/{dataset}")
    text = "write one HTML page with tables, plots, frames and settings"
    _add_scoring(add("report", report, text, "--dataset_name otb"), out="{results}/analysis/{dataset}")

    text = "print how often the truth lies in the credible regions that `ebm-track --density` wrote"
    command = add("coverage", print_coverage, text, "--dataset_name generated --trackers atom/ebm")
    command.add_argument("--out", type=Path, metavar="FOLDER", help="also write coverage.json there")

    text = "print stretches of frames that are lost, too large, too small or beside the target"
    command = add("failures", print_failures, text, "--dataset_name otb --trackers atom/ebm")
    command.add_argument(
        "--shortest",
        type=positive_int,
        default=SHORTEST,
        metavar="N",
        help=f"a failure has at least N successive frames with an overlap below 0.5 ({SHORTEST})",
    )
    command.add_argument("--out", type=Path, metavar="FOLDER", help="also write failures.json there")

    add_output_commands(add)

    text = "play saved boxes over the frames, in a window or as a video"
    example = "--sequence Crossing --trackers atom/ebm opencv --out crossing.mp4"
    command = add("playback", play_back, text, example)
    command.usage = "ebm-analyse playback --sequence NAME [NAME ...] [options]"
    command.add_argument("--sequence", nargs="+", required=True, metavar="NAME", help="names or indices of sequences")
    command.add_argument("--fps", type=float, default=25.0, metavar="N", help="frames per second (25)")
    command.add_argument(
        "--out", type=Path, metavar="FILE", help="an .mp4 file; for several sequences a folder (default: a window)"
    )
    return parser


def _add_scoring(command: argparse.ArgumentParser, out: str, tables: bool = False) -> None:
    """Options of the commands that score; `tables` for those that print tables."""
    scoring = command.add_argument_group("scoring")
    scoring.add_argument("--merge_runs", action="store_true", help="average the numbered runs of a parameter")
    scoring.add_argument(
        "--missing",
        choices=("skip", "error"),
        default="skip",
        help="skip sequences that some tracker has no result of (default), or stop with an error",
    )
    scoring.add_argument(
        "--exclude_invalid", action="store_true", help="leave frames without a visible target out of the rates"
    )
    output = command.add_argument_group("output")
    output.add_argument("--title", help="name of the ground truth in tables and plots")
    output.add_argument(
        "--sort", choices=SORT_KEYS, metavar="KEY", help="sort trackers by a column, such as op50, fps, or name (auc)"
    )
    if tables:
        scoring.add_argument(
            "--halves", action="store_true", help="also score two fixed halves of the sequences, to tune and to check"
        )
        output.add_argument("--per_sequence", action="store_true", help="also print a table by sequence")
    output.add_argument("--out", type=Path, metavar="FOLDER", help=f"folder of the files (default: {out})")


# -- the commands ------------------------------------------------------------------------------------------------


def score(arguments: argparse.Namespace) -> None:
    """`all`, `table` and `plot`: print the tables, write tables and plots."""
    scored, _, out = make_report(arguments)
    if arguments.command != "plot":
        print(tracker_table(scored))
        if arguments.per_sequence:
            metric = arguments.sort if arguments.sort in columns_of(scored) else leading(scored)
            print(f"\n{sequence_table(scored, metric)}")
    if arguments.command == "table" and arguments.out is None:
        return
    paths = write_tables(scored, out)
    if arguments.command != "table" and scored.sequences:
        paths += write_plots(scored, out)
    print(f"\nwritten to {out}: {', '.join(path.name for path in paths)}")


def report(arguments: argparse.Namespace) -> None:
    """`report`: write the HTML page."""
    scored, sequences, out = make_report(arguments)
    print(f"written: {write_html(scored, sequences, out)}")


def make_report(arguments: argparse.Namespace) -> tuple[Report, Sequence[GroundTruth], Path]:
    """Score the selected results, and print the notes.

    Returns:
        The report, the ground truth, and the folder for files.
    """
    title, sequences, notes = read_ground_truth(arguments)
    found = read_results(arguments, [sequence.name for sequence in sequences])
    if not found:
        raise no_result(title, arguments)
    scored = score_results(
        arguments.title or title,
        sequences,
        found,
        exclude_invalid=arguments.exclude_invalid,
        merge_runs=arguments.merge_runs,
        missing=arguments.missing,
        halves=getattr(arguments, "halves", False),
    )
    speeds = speed_notes({tracker.name: tracker.speed for tracker in scored.trackers})
    scored = replace(scored, notes=(*notes, *scored.notes, *speeds)).sorted(arguments.sort or leading(scored))
    print_notes(scored.notes)
    if not scored.sequences and arguments.command in ("plot", "report"):
        raise UserError(
            f"{scored.dataset} is not scored here, and there is nothing to draw; ebm-analyse table lists it"
        )
    name = title if arguments.annotations is not None else "+".join(Path(n).name for n in arguments.dataset_name)
    out = arguments.out or get_path("results", arguments.results) / "analysis" / name
    return scored, sequences, out


def print_coverage(arguments: argparse.Namespace) -> None:
    """`coverage`: print the tables, and write them as JSON."""
    _, sequences, notes = read_ground_truth(arguments)
    names = [sequence.name for sequence in sequences]
    results = read_results(arguments, names)
    if not arguments.trackers:  # without a selection, take those that have densities
        results = [result for result in results if has_densities(result)]
    if not results:
        raise UserError("no result has densities: run a tracker with ebm-track --density")
    by_name, odd = of_each(results, lambda result: coverage(result, names))
    found, notes = list(by_name.values()), [*notes, *odd]
    notes += [f"{each.tracker} has no densities of {', '.join(each.missing)}" for each in found if each.missing]
    print_notes(notes)
    print("\n\n".join(each.table() for each in found))
    _write(arguments.out, "coverage.json", [each.to_json() for each in found])


def print_failures(arguments: argparse.Namespace) -> None:
    """`failures`: print the tables, and write them as JSON."""
    title, sequences, notes = read_ground_truth(arguments)
    by_name = {sequence.name: sequence for sequence in sequences}
    results = read_results(arguments, list(by_name))
    if not results:
        raise no_result(title, arguments)
    by_tracker, odd = of_each(results, lambda result: tracker_failures(result, by_name, arguments.shortest))
    found, notes = list(by_tracker.values()), [*notes, *odd]
    notes += [note for each in found for note in each.notes]
    notes += [f"{each.tracker} has no result of {', '.join(each.missing)}" for each in found if each.missing]
    print_notes(notes)
    print("\n\n".join(each.table() for each in found))
    _write(arguments.out, "failures.json", [each.to_json() for each in found])


def _write(folder: Path | None, name: str, content: list) -> None:
    if folder is not None:
        make_folder(folder)
        with writing(folder / name, ANOTHER_FOLDER):
            write_json(folder / name, content)
        print(f"\nwritten: {folder / name}")


def play_back(arguments: argparse.Namespace) -> None:
    """`playback`: show the saved boxes in a window, or write them as videos."""
    if arguments.annotations is not None:
        raise UserError("playback shows images: name a data set with --dataset_name, not --annotations")
    if not 0 < arguments.fps <= 1000:
        raise UserError(f"--fps {arguments.fps:g} is no number of frames per second")
    dataset = get_dataset(*arguments.dataset_name, root=arguments.dataset_root, origin=arguments.origin)
    sequences = dataset.select(arguments.sequence)
    results = read_results(arguments, [sequence.name for sequence in sequences])
    if not results:
        raise UserError(
            f"no result of {', '.join(sequence.name for sequence in sequences)} lies in "
            f"{get_path('results', arguments.results)}; run a tracker with ebm-track"
        )
    for video in play(sequences, results, arguments.out, arguments.fps):
        print(f"written: {video}")


if __name__ == "__main__":
    sys.exit(main())
