"""What the commands of `ebm-analyse` read: ground truth, and trackers' results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ltr.common.environment import get_path
from ltr.common.errors import UserError
from pytracking.analysis.box_files import GroundTruth, read_annotations
from pytracking.analysis.tracker_results import TrackerResults, external_results, find_results
from pytracking.evaluation.datasets import get_dataset


def add_inputs(command: argparse.ArgumentParser, dataset: str = "otb", images: bool = False) -> None:
    """Options that select ground truth and results.

    Args:
        command: the parser of the command.
        dataset: the data set that it takes if none is named; or words for its help, if that depends.
        images: it needs images, and not the ground truth alone.
    """
    ground_truth = command.add_argument_group("ground truth")
    truth = ground_truth.add_mutually_exclusive_group()
    truth.add_argument(
        "--dataset_name",
        nargs="+",
        default=[dataset],
        metavar="NAME",
        help=f"as for ebm-track: a benchmark's name, or a folder of sequences; several count as one ({dataset})",
    )
    if images:
        command.set_defaults(annotations=None)
    else:
        truth.add_argument(
            "--annotations", type=Path, metavar="FOLDER", help="ground truth without images: a folder of {sequence}.txt"
        )
    ground_truth.add_argument(
        "--dataset_root", type=Path, metavar="FOLDER", help="folder of that one data set (default: as configured)"
    )
    ground_truth.add_argument(
        "--origin", type=int, choices=(0, 1), help="first pixel of a folder's annotation (its layout's)"
    )
    results = command.add_argument_group("results")
    results.add_argument(
        "--results", type=Path, metavar="FOLDER", help="folder of your own results (default: as configured)"
    )
    results.add_argument(
        "--trackers",
        nargs="*",
        metavar="NAME",
        help="atom/ebm (with its numbered runs), atom/ebm_002, or atom (default: all; no name: none); a path is read "
        "as by --external",
    )
    results.add_argument(
        "--external",
        nargs="+",
        action="extend",
        type=_external,
        default=[],
        metavar="[NAME=]PATH",
        help="others' boxes, of one tracker or many: a folder or .zip of text files, OTB's .mat, GOT-10k's, VOT's",
    )


def _external(text: str) -> tuple[str | None, Path]:
    """NAME=PATH, or the path alone, with None for the name."""
    name, equals, path = text.partition("=")
    if not equals or Path(text).expanduser().exists():
        return None, Path(text).expanduser()
    if not name or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, Path(path).expanduser()


def read_ground_truth(arguments: argparse.Namespace) -> tuple[str, Sequence[GroundTruth], list[str]]:
    """Title and sequences of the selected ground truth, and notes on what is missing from it."""
    if arguments.annotations is not None:
        if arguments.dataset_root is not None:
            raise UserError("--dataset_root goes with --dataset_name, not with --annotations")
        if arguments.origin is not None:
            raise UserError(
                "--origin goes with --dataset_name, not with --annotations, whose boxes are taken as they are"
            )
        return arguments.annotations.resolve().name, read_annotations(arguments.annotations), []
    dataset = get_dataset(*arguments.dataset_name, root=arguments.dataset_root, origin=arguments.origin)
    parts = dataset.parts or (dataset,)
    notes = [part.summary() for part in parts if part.expected and len(part) < part.expected]
    notes += [f"{name} is left out: {problem}" for name, problem in dataset.problems.items()]
    return dataset.title, list(dataset), notes


def read_results(arguments: argparse.Namespace, names: Sequence[str]) -> list[TrackerResults]:
    """The selected results that have any of the sequences; maybe none."""
    results = get_path("results", arguments.results)
    if arguments.results is not None and not results.is_dir():
        raise UserError(f"the results folder {results} does not exist")
    selected = arguments.trackers
    paths = [Path(name).expanduser() for name in selected or () if name[:1] in ("/", ".", "~")]
    if selected:
        selected = [name for name in selected if name[:1] not in ("/", ".", "~")]
    # `--trackers` without a name selects none of the user's own results; without the option, all are selected.
    found = [] if selected == [] else find_results(results, names, selected)
    return [*found, *_read_external([*((None, path) for path in paths), *arguments.external], names)]


def _read_external(given: Sequence[tuple[str | None, Path]], names: Sequence[str]) -> list[TrackerResults]:
    """Others' results. Of several paths without names, such as a shell makes of `results/*`, those that hold none are
    left out, and said."""
    found: list[TrackerResults] = []
    left_out: list[UserError] = []
    for name, path in given:
        try:
            found += external_results(name, path, names)
        except UserError as error:
            if name is not None:
                raise
            left_out.append(error)
    if left_out and not found:
        raise left_out[0]
    print_notes([f"left out: {error}" for error in left_out])
    return found


def no_result(title: str, arguments: argparse.Namespace) -> UserError:
    """The error of a command that finds nothing to work on."""
    return UserError(
        f"no result on {title} lies in {get_path('results', arguments.results)}; run a tracker with ebm-track, or name "
        "a folder with --results or --external PATH"
    )


def print_notes(notes: Sequence[str]) -> None:
    """Print what a reader of the output has to know, on stderr."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
