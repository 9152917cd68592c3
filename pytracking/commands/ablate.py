"""Compare widths of the proposal: ebm-ablate <task> [options] [--setting value ...]

    ebm-ablate age                                    # Table S3
    ebm-ablate head_pose --encoder.frozen_copies 8    # Table S5
    ebm-ablate detection --jobs 2                     # Table S1: trains on COCO, scores
    ebm-ablate bbreg --threads 4                      # Table S2: trains, tracks OTB and NFS, scores
    ebm-ablate bbreg --on small --dataset_name otb --rows 0.05,0.5

Trainings, results and tables are kept: a stopped comparison continues with the same command.
`ebm-ablate TASK --help` lists the options of a task.
"""

from __future__ import annotations

import argparse
import logging
import math
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ltr.cluster.options import cluster_of
from ltr.commands import ablate as ltr_ablate
from ltr.commands.usage import parse_settings, usage_status
from ltr.common.command_line import CommandParser, non_negative_int, positive_int
from ltr.common.environment import get_path
from ltr.common.errors import UserError, cli_main
from ltr.evaluation.tables import write_table
from ltr.evaluation.trainings.rounds import train_rounds
from ltr.evaluation.trainings.spread import add_jobs, spread_trainings
from ltr.train_settings.registry import load_settings
from pytracking.evaluation.datasets import get_dataset
from pytracking.experiments.trained_trackers import TABLE_S2, TrackerTable, TrainedTracker

_STAGES = ("train", "track", "table")
_PARAMS = {"atom": "default", "atom_star": "atom_star", "ebm": "ebm"}
_TITLES = {"atom": "ATOM", "atom_star": "ATOM*", "ebm": "EBM"}
_BACKBONES = {"resnet18": "_resnet18", "small": ""}


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="ebm-ablate bbreg",
        usage="ebm-ablate bbreg [options] [--<setting> value ...] [--tracker.<setting> value ...]",
        description="Table S2: train the EBM with each proposal, track OTB-100 and NFS, and score both together.",
        examples="""\
Any other '--name value' is a setting of all trainings (ebm-train bbreg ebm_resnet18 --help lists
them), and '--tracker.name value' one of all trackers.

examples:
  ebm-ablate bbreg --jobs 2 --threads 4
  ebm-ablate bbreg --rows 0.05,0.5 0.07,0.7 --only train     # on one machine
  ebm-ablate bbreg --rows atom atom_star 0.05,0.5 --dataset_name uav --seeds 3
  ebm-ablate bbreg --on small --dataset_name otb --tracker.refinement.step 1e-4 3e-4""",
    )
    parser.add_argument(
        "--on",
        choices=_BACKBONES,
        default="resnet18",
        help="the paper's backbone, or the shipped one (resnet18)",
    )
    parser.add_argument("--rows", nargs="+", type=_row, default=list(TABLE_S2), metavar="ROW",
                        help="widths such as 0.05,0.5; or atom, atom_star (the paper's five)")  # fmt: skip
    parser.add_argument(
        "--seeds", type=positive_int, default=1, metavar="N", help="trainings of a row: seeds 0 .. N - 1 (1)"
    )
    parser.add_argument("--only", choices=_STAGES, help="a part of the work (default: all)")
    add_jobs(parser, ship_data=True)
    parser.add_argument(
        "--threads", type=non_negative_int, default=0, metavar="N", help="worker processes that track (0)"
    )
    parser.add_argument("--dataset_name", nargs="+", default=["otb", "nfs"], metavar="NAME",
                        help="benchmarks, or folders of sequences, scored together (otb nfs)")  # fmt: skip
    parser.add_argument("--dataset_root", type=Path, metavar="FOLDER", help="folder of that one benchmark")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="of tracking (default: ./tracking_results)")
    parser.add_argument("--restart", action="store_true", help="delete the trainings' checkpoints and start anew")
    parser.add_argument("--overwrite", action="store_true", help="track finished sequences again")
    return parser


@cli_main
def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, 1 if trainings or sequences failed, or 128 + signal (Ctrl-C: 130) if it was stopped."""
    argv = list(sys.argv[1:] if argv is None else argv)
    status = usage_status(argv, 1, f"{__doc__}\nTasks: {', '.join([*ltr_ablate.TASKS, 'detection', 'bbreg'])}")
    if status is not None:
        return status
    if argv[0] != "bbreg":
        return ltr_ablate.main(argv)
    own, tracker = _split(argv[1:])
    options, training = _parser().parse_known_args(own)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    for name, instead in (("--seed", "--seeds N"), ("--proposals.sigmas", "--rows"), ("--network", "--only table")):
        if any(argument.partition("=")[0] == name for argument in [*training, *tracker]):
            raise UserError(f"{name} is no choice here, where the rows and runs differ in it: use {instead}")

    rows = [_trained_tracker(row, options.on, training) for row in dict.fromkeys(options.rows)]
    # Before hours of training: is the data there?
    dataset = None if options.only == "train" else get_dataset(*options.dataset_name, root=options.dataset_root)
    runs = get_path("workspace", rows[0].settings.workspace) / "checkpoints" / "ltr" / "bbreg_sigmas"
    work = TrackerTable(rows, range(options.seeds), runs, get_path("results", options.results), tracker)
    for row in rows:
        work.spec(row, 0).settings()  # are the tracker's settings valid?

    stopped: int | None = None
    failed: list[str] = []
    try:
        with cluster_of(options) as cluster:
            if options.only in (None, "train"):
                with spread_trainings(options, work.trainings, cluster) as (jobs, how):
                    outcome = train_rounds([work.trainings], jobs, restart=options.restart, **how)
                stopped = outcome.stop_signal
                failed = [f"{name}: {cause}" for name, cause in outcome.failures.items()]
            if options.only in (None, "track") and dataset is not None and stopped is None and not failed:
                print(dataset.summary())
                failed = work.track(dataset, options.threads, options.overwrite, cluster)
    except KeyboardInterrupt:
        stopped = signal.SIGINT
    if dataset is not None and options.only != "track":
        table, about = work.table(dataset)
        print(table.text())
        if about["runs"]:
            name = f"table_{'+'.join(Path(name).name for name in options.dataset_name)}"
            for path in write_table(table, runs, name, about):
                print(f"written: {path}")
    for sentence in failed:
        print(f"failed: {sentence}", file=sys.stderr)
    if stopped is not None:
        again = [f"--{name}" for name in ("restart", "overwrite") if getattr(options, name)]
        without = f" without {' '.join(again)}" if again else ""
        print(f"stopped; the same command{without} continues")
        return 128 + stopped
    return 1 if failed else 0


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Options of the command and of the trainings; and those that start with --tracker., without that."""
    own: list[str] = []
    tracker: list[str] = []
    part = own
    for argument in argv:
        if argument.startswith("--"):
            part = tracker if argument.startswith("--tracker.") else own
            argument = argument.replace("--tracker.", "--", 1)
        part.append(argument)
    return own, tracker


def _row(text: str) -> tuple[float, ...] | str:
    """Widths from '0.05,0.5'; or 'atom' or 'atom_star'."""
    if text in ("atom", "atom_star"):
        return text
    try:
        widths = tuple(map(float, text.split(",")))
    except ValueError:
        widths = (math.nan,)
    if not all(0 < width < math.inf for width in widths):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no row: give positive numbers with commas between them, atom or atom_star"
        )
    return widths


def _trained_tracker(row: tuple[float, ...] | str, on: str, training: Sequence[str]) -> TrainedTracker:
    kind = row if isinstance(row, str) else "ebm"
    system = kind + _BACKBONES[on]
    settings = parse_settings(load_settings("bbreg", system), "ebm-ablate bbreg", training)
    title, label, paper = _TITLES[kind], f"ablation_{system}", None
    if not isinstance(row, str):
        settings.proposals.sigmas = tuple((width, width) for width in row)
        widths = [f"{width:g}" for width in row]
        title, label = f"{{{', '.join(widths)}}}", f"{label}_sigmas{'-'.join(widths)}"
        paper = TABLE_S2.get(row)
    return TrainedTracker(title, label, system, _PARAMS[kind] + _BACKBONES[on], settings, paper)


if __name__ == "__main__":
    sys.exit(main())
