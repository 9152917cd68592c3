"""Compare detectors that differ only in how they regress boxes: COCO's AP on generated images.

    ebm-compare-detection  # all systems: about an hour of one core
    ebm-compare-detection --seeds 3 --systems direct ebm
    ebm-compare-detection --table s1  # the EBM with 18 proposal distributions: Table S1
    ebm-compare-detection --table s1 --seeds 2 --sigmas .15 .3 .0375,.15
    ebm-compare-detection --table losses  # the EBM by NCE+ and the other losses of BMVC 2020

Runs are in {workspace}/checkpoints/ltr/detection_small; tables (text, JSON, LaTeX), detections and
a contact sheet are in {workspace}/detection_comparison. A stopped comparison continues with the
same command. To train the paper's ResNet-50 detectors on COCO, use `ebm-train detection <system>`.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import get_args

from ltr.common.command_line import CommandParser
from ltr.common.device import DeviceChoice
from ltr.common.environment import get_path
from ltr.common.errors import UserError, cli_main
from ltr.evaluation.detection.comparison import LOSS_NAMES, DetectionComparison, runs_folder
from ltr.evaluation.detection.table_s1 import TABLE_S1, sigmas_option
from ltr.evaluation.trainings.rounds import train_rounds
from ltr.evaluation.trainings.spread import add_jobs, spread
from ltr.models.detection import SYSTEMS


@cli_main
def main(argv: list[str] | None = None) -> int:
    """Returns 0 if the table is complete, 1 if a training failed, 128 + signal (Ctrl-C: 130) if it was stopped."""
    parser = CommandParser(prog="ebm-compare-detection", description=__doc__)
    parser.add_argument("--table", choices=("systems", "s1", "losses"), default="systems",
                        help="all systems, Table S1's proposals, or losses of the EBM (systems)")  # fmt: skip
    parser.add_argument("--sigmas", nargs="+", type=sigmas_option, default=list(TABLE_S1), metavar="S",
                        help="rows of --table s1: '.3 .0375,.15' are two (the paper's 18)")  # fmt: skip
    parser.add_argument("--losses", nargs="+", choices=LOSS_NAMES, default=list(LOSS_NAMES), metavar="LOSS",
                        help=f"rows of --table losses, of {', '.join(LOSS_NAMES)} (all)")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 .. N - 1 (1)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="SYSTEM",
                        help=f"of {', '.join(SYSTEMS)} (all)")  # fmt: skip
    parser.add_argument("--samples", type=int, default=800, metavar="N", help="training images of an epoch (800)")
    parser.add_argument("--device", choices=get_args(DeviceChoice), default="auto", help="(auto: cuda if there is one)")
    add_jobs(parser)
    parser.add_argument("--workspace", type=Path, metavar="FOLDER", help="root of runs and results (the environment's)")
    o = parser.parse_args(argv)
    if o.seeds < 1 or o.samples < 8:
        raise UserError(f"--seeds must be at least 1 and --samples at least 8 (a batch), got {o.seeds} and {o.samples}")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")

    workspace = get_path("workspace", o.workspace)
    rows = {"systems": o.systems, "s1": o.sigmas, "losses": o.losses}[o.table]
    with spread(o, runs_folder(workspace), o.device, len(rows) * o.seeds) as (jobs, how):
        comparison = DetectionComparison(
            workspace, o.device, o.samples, lambda rounds: train_rounds(rounds, jobs, **how)
        )
        if o.table == "s1":
            table = comparison.table_s1(o.sigmas, o.seeds)
        elif o.table == "losses":
            table = comparison.table_of_losses(o.losses, o.seeds)
        else:
            table = comparison.table_of_systems(o.systems, o.seeds)
    if table.rows:
        print(table.text())
        for path in comparison.write(table, o.table):
            print(f"written: {path}")
    for name, failure in comparison.failures.items():
        print(f"{name} failed: {failure}", file=sys.stderr)
    if comparison.stop_signal is None:
        return int(bool(comparison.failures))
    print("stopped; the same command continues")
    return 128 + comparison.stop_signal


if __name__ == "__main__":
    sys.exit(main())
