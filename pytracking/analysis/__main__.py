"""Score trackers and compare them.

python -m pytracking.analysis --dataset_name otb
    the table on the terminal; tables, JSON and plots in {results}/analysis/otb
python -m pytracking.analysis --dataset_name data/otb data/otb_more
    two data sets, here folders in OTB's layout, scored together as one; the files in {results}/analysis/otb+otb_more
python -m pytracking.analysis table --dataset_name otb --trackers atom/ebm opencv/csrt --per_sequence
    the table alone, here of two trackers, and one by sequence; files only with --out
python -m pytracking.analysis table --dataset_name otb --trackers atom --merge_runs --halves
    means and standard deviations over runs; and of two fixed halves of the sequences, one to tune on, one to check on
python -m pytracking.analysis plot --dataset_name otb --out figures
    success, precision and normalised precision and, where sequences have attributes, a radar of the AUC by attribute,
    as PNG, PDF and TikZ; and the numbers behind them
python -m pytracking.analysis report --dataset_name otb
    one HTML page with all of it, and with frames of the sequences that differ most
python -m pytracking.analysis coverage --dataset_name generated --trackers atom/ebm
    how often the truth lies inside the credible regions that run_tracker.py --density wrote
python -m pytracking.analysis failures --dataset_name otb --trackers atom/ebm
    where and how it fails: stretches of frames that are lost, too large, too small or beside the target
python -m pytracking.analysis playback --dataset_name otb --sequence Crossing --trackers atom/ebm opencv --out x.mp4
    the boxes over the frames, as a film, or without --out in a window
python -m pytracking.analysis table --annotations otb_annotations --external ECO=otb_results/ECO
    raw boxes of others, against ground truth that comes without images
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ltr.common.command_line import non_negative_int
from ltr.common.environment import get_path
from ltr.common.errors import UserError, cli_main
from ltr.common.files import write_json
from pytracking.analysis.coverage import coverage, has_densities
from pytracking.analysis.failures import SHORTEST, tracker_failures
from pytracking.analysis.html_report import write_html
from pytracking.analysis.playback import play
from pytracking.analysis.plots import write_plots
from pytracking.analysis.results import TrackerResults, external_results, find_results, read_annotations
from pytracking.analysis.scoring import SORT_KEYS, GroundTruth, Report, score_results
from pytracking.analysis.tables import COLUMNS, make_folder, sequence_table, tracker_table, write_tables
from pytracking.evaluation.datasets import get_datasets

_COMMANDS = {
    "all": "table on the terminal; tables, JSON and plots in a folder (the default)",
    "table": "the table on the terminal; with --out also as text, Markdown, CSV and JSON",
    "plot": "success and precision plots and the radar by attribute as PNG, PDF and TikZ, and the JSON behind them",
    "report": "one HTML page that needs nothing else: tables, plots, frames with boxes, and how the results were made",
}


def _external(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FOLDER")
    return name, Path(folder).expanduser()


def _add_ground_truth(command: argparse.ArgumentParser) -> None:
    ground_truth = command.add_argument_group("ground truth")
    truth = ground_truth.add_mutually_exclusive_group()
    truth.add_argument(
        "--dataset_name",
        nargs="+",
        default=["otb"],
        metavar="NAME",
        help="otb, nfs, generated, or a folder in OTB's layout; several are taken as one (default: otb)",
    )
    truth.add_argument(
        "--annotations",
        type=Path,
        metavar="FOLDER",
        help="ground truth alone: a folder of {sequence}.txt, no images needed",
    )
    ground_truth.add_argument(
        "--dataset_root", type=Path, metavar="FOLDER", help="where that one data set lies (default: as configured)"
    )


def _add_results(command: argparse.ArgumentParser) -> None:
    results = command.add_argument_group("results")
    results.add_argument(
        "--results", type=Path, metavar="FOLDER", help="folder of own results (default: as configured)"
    )
    results.add_argument(
        "--trackers",
        nargs="*",
        metavar="NAME",
        help="atom/ebm (with its numbered runs), atom/ebm_002, or atom (default: all found; no name: none)",
    )
    results.add_argument(
        "--external",
        nargs="+",
        action="extend",
        type=_external,
        default=[],
        metavar="NAME=FOLDER",
        help="another tracker's raw boxes: a folder of {sequence}.txt",
    )


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pytracking.analysis", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar=f"{{{','.join([*_COMMANDS, 'coverage', 'failures', 'playback'])}}}"
    )
    for name, text in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        _add_ground_truth(command)
        _add_results(command)
        scoring = command.add_argument_group("scoring")
        scoring.add_argument(
            "--merge_runs", action="store_true", help="average the numbered runs of a parameter, with their spread"
        )
        scoring.add_argument(
            "--missing",
            choices=("skip", "error"),
            default="skip",
            help="a sequence that some tracker lacks: leave it out for all and say so (default), or refuse",
        )
        scoring.add_argument(
            "--exclude_invalid", action="store_true", help="leave frames without an annotated target out of the rates"
        )
        output = command.add_argument_group("output")
        output.add_argument("--title", help="name of the ground truth in tables and plots (default: its own)")
        output.add_argument("--sort", choices=SORT_KEYS, default="auc", help="order of the trackers (default: auc)")
        if name in ("all", "table"):
            scoring.add_argument(
                "--halves",
                action="store_true",
                help="AUC, OP50 and OP75 also of two halves: the sequences in the order of their names, alternately to "
                "half A and half B",
            )
            output.add_argument(
                "--per_sequence",
                action="store_true",
                help="also a table by sequence, of the --sort metric (of one tracker: of all), with the spread of "
                "merged runs",
            )
        where = "none" if name == "table" else "{results}/analysis/{dataset}"
        output.add_argument("--out", type=Path, metavar="FOLDER", help=f"where files are written (default: {where})")
    text = "how often the truth lies inside the credible regions that run_tracker.py --density wrote"
    command = commands.add_parser("coverage", help=text, description=text)
    _add_ground_truth(command)
    _add_results(command)
    command.add_argument("--out", type=Path, metavar="FOLDER", help="write coverage.json there too")
    text = "where and how trackers fail: stretches of frames that are lost, too large, too small or beside the target"
    command = commands.add_parser("failures", help=text, description=text)
    _add_ground_truth(command)
    _add_results(command)
    command.add_argument(
        "--shortest",
        type=non_negative_int,
        default=SHORTEST,
        metavar="N",
        help=f"frames with an overlap below 0.5 in a row that are a failure ({SHORTEST})",
    )
    command.add_argument("--out", type=Path, metavar="FOLDER", help="write failures.json there too")
    text = "boxes of several trackers over the frames of a sequence, as a film or in a window"
    command = commands.add_parser("playback", help=text, description=text)
    _add_ground_truth(command)
    _add_results(command)
    command.add_argument("--sequence", nargs="+", required=True, metavar="NAME", help="these, each by name or index")
    command.add_argument("--fps", type=float, default=25.0, metavar="N", help="frames per second (25)")
    command.add_argument(
        "--out", type=Path, metavar="FILE", help="an .mp4 file, of several sequences a folder (default: a window)"
    )
    return parser


def read_ground_truth(arguments: argparse.Namespace) -> tuple[str, Sequence[GroundTruth], list[str]]:
    """Title and sequences of the ground truth asked for, and what to know about it."""
    if arguments.annotations is not None:
        if arguments.dataset_root is not None:
            raise UserError("--dataset_root goes with --dataset_name, not with --annotations")
        return arguments.annotations.resolve().name, read_annotations(arguments.annotations), []
    dataset = get_datasets(arguments.dataset_name, root=arguments.dataset_root)
    parts = dataset.parts or (dataset,)
    notes = [part.summary() for part in parts if part.expected and len(part) < part.expected]
    notes += [f"{name} is left out: {problem}" for name, problem in dataset.problems.items()]
    return dataset.title, list(dataset), notes


def read_results(arguments: argparse.Namespace, names: Sequence[str]) -> list[TrackerResults]:
    """The results asked for on the command line that have any of the sequences; maybe none."""
    results = get_path("results", arguments.results)
    if arguments.results is not None and not results.is_dir():
        raise UserError(f"the results folder {results} does not exist")
    # `--trackers` without a name asks for none of one's own; without the flag, for all there are.
    found = [] if arguments.trackers == [] else find_results(results, names, arguments.trackers)
    return [*found, *(external_results(name, path, names) for name, path in arguments.external)]


def print_coverage(arguments: argparse.Namespace) -> None:
    """The tables of the command `coverage`, and its file."""
    _, sequences, notes = read_ground_truth(arguments)
    names = [sequence.name for sequence in sequences]
    results = read_results(arguments, names)
    if not arguments.trackers:  # of all there are, those that have densities
        results = [result for result in results if has_densities(result)]
    if not results:
        raise UserError("no result has densities: run a tracker by pytracking/run_tracker.py with --density")
    found = [coverage(result, names) for result in results]
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    for each in found:
        if each.missing:
            print(f"note: {each.tracker} has no densities of {', '.join(each.missing)}", file=sys.stderr)
    print("\n\n".join(each.table() for each in found))
    if arguments.out is not None:
        make_folder(arguments.out)
        write_json(arguments.out / "coverage.json", [each.to_json() for each in found])
        print(f"\nwritten: {arguments.out / 'coverage.json'}")


def print_failures(arguments: argparse.Namespace) -> None:
    """The tables of the command `failures`, and its file."""
    if arguments.shortest < 1:
        raise UserError("--shortest 0 is no length of a failure; give a number of frames from 1 on")
    title, sequences, notes = read_ground_truth(arguments)
    by_name = {sequence.name: sequence for sequence in sequences}
    results = read_results(arguments, list(by_name))
    if not results:
        raise UserError(_no_result(title, arguments))
    found = [tracker_failures(result, by_name, arguments.shortest) for result in results]
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    for each in found:
        if each.missing:
            print(f"note: {each.tracker} has no result of {', '.join(each.missing)}", file=sys.stderr)
    print("\n\n".join(each.table() for each in found))
    if arguments.out is not None:
        make_folder(arguments.out)
        write_json(arguments.out / "failures.json", [each.to_json() for each in found])
        print(f"\nwritten: {arguments.out / 'failures.json'}")


def _no_result(title: str, arguments: argparse.Namespace) -> str:
    return (
        f"no result on {title} lies in {get_path('results', arguments.results)}; run a tracker by "
        "pytracking/run_tracker.py, or name a folder by --results or --external NAME=FOLDER"
    )


def play_back(arguments: argparse.Namespace) -> None:
    """What the command `playback` asks for."""
    if arguments.annotations is not None:
        raise UserError("playback shows images: name a data set by --dataset_name, not --annotations")
    if not 0 < arguments.fps <= 1000:
        raise UserError(f"--fps {arguments.fps:g} is no number of frames per second")
    dataset = get_datasets(arguments.dataset_name, root=arguments.dataset_root)
    sequences = list({dataset[name].name: dataset[name] for name in arguments.sequence}.values())
    results = read_results(arguments, [sequence.name for sequence in sequences])
    if not results:
        raise UserError(
            f"no result of {', '.join(sequence.name for sequence in sequences)} lies in "
            f"{get_path('results', arguments.results)}; run a tracker by pytracking/run_tracker.py"
        )
    for film in play(sequences, results, arguments.out, arguments.fps):
        print(f"written: {film}")


def make_report(arguments: argparse.Namespace) -> tuple[Report, Sequence[GroundTruth], Path]:
    """The report asked for on the command line, the ground truth, and where files go by default."""
    title, sequences, notes = read_ground_truth(arguments)
    names = [sequence.name for sequence in sequences]
    found = read_results(arguments, names)
    results = get_path("results", arguments.results)
    if not found:
        raise UserError(_no_result(title, arguments))
    report = score_results(
        arguments.title or title,
        sequences,
        found,
        exclude_invalid=arguments.exclude_invalid,
        merge_runs=arguments.merge_runs,
        missing=arguments.missing,
        halves=getattr(arguments, "halves", False),
    )
    report = replace(report, notes=(*notes, *report.notes))
    name = title if arguments.annotations is not None else "+".join(Path(n).name for n in arguments.dataset_name)
    return report.sorted(arguments.sort), sequences, results / "analysis" / name


@cli_main
def main(argv: Sequence[str] | None = None) -> None:
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        argv.insert(0, "all")
    arguments = build_parser().parse_args(argv)
    if arguments.command == "coverage":
        print_coverage(arguments)
        return
    if arguments.command == "failures":
        print_failures(arguments)
        return
    if arguments.command == "playback":
        play_back(arguments)
        return
    report, sequences, default_out = make_report(arguments)
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    if arguments.command == "report":
        print(f"written: {write_html(report, sequences, arguments.out or default_out)}")
        return
    if arguments.command != "plot":
        print(tracker_table(report))
        if arguments.per_sequence:
            metric = arguments.sort if arguments.sort in COLUMNS else "auc"
            print(f"\n{sequence_table(report, metric)}")
    out = arguments.out
    if out is None and arguments.command != "table":
        out = default_out
    if out is not None:
        paths = write_tables(report, out)
        if arguments.command != "table":
            paths += write_plots(report, out)
        print(f"\nwritten to {out}: {', '.join(path.name for path in paths)}")


if __name__ == "__main__":
    main()
