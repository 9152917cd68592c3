"""Choose step-lengths by grid search on validation data: ebm-search-steps <task> [--option value ...]

    ebm-search-steps bbreg ebm pytracking/networks/ebm_efficientnet_lite0.safetensors
    ebm-search-steps detection ebm --limit 200 --decay 0.2 0.5
    ebm-search-steps age --step 0.3 1 3 10

Prints the grid and the choice by the task's own measure, says when the best is at the grid's edge,
and writes the table as text, JSON and LaTeX to {workspace}/step_search/<task>/. For detection, age
and head pose the choice goes beside the runs, and `ebm-evaluate` uses it; the tracker is given the
steps that are printed. A stopped search continues with the same command. `ebm-search-steps <task>
--help` lists the options of a task. Those of bbreg, after which come the settings of `ebm-train`:

    --position P ...       step-lengths to try (1/8 to 8 times the system's own)
    --size S ...           the same for the size
    --space SPACE          relative or pixel (as the system climbs)
    --iterations T         steps of the ascent (ATOM 5, others 10)
    --start_error P S      error that the starts of a pair share, in units of the box (0 0)
    --out FOLDER           of the table
    --jobs N               processes that measure (1)
    --cluster ADDRESS      measure on a Ray cluster: auto, HOST:PORT or ray://HOST:10001
    --gpus_per_worker F    of a GPU there (1, if there are GPUs)
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from dataclasses import replace
from pathlib import Path

from ltr.commands.usage import parse_settings, usage_status, with_list
from ltr.common.command_line import CommandParser, positive_float, positive_int
from ltr.common.errors import UserError, cli_main
from ltr.evaluation import age, head_pose
from ltr.evaluation.steps import TASKS, detection, regression
from ltr.evaluation.steps.bbreg import BoxSearch, box_actor, default_climb, search_boxes
from ltr.evaluation.trainings.spread import add_jobs
from ltr.train_settings.bbreg.common import BBRegSettings
from ltr.train_settings.registry import load_settings

_BOX_USAGE = "ebm-search-steps bbreg NAME NETWORK [--position P ...] [--size S ...] [--setting value ...]"


@cli_main
def main(argv: list[str] | None = None) -> int:
    """Returns 0."""
    argv = sys.argv[1:] if argv is None else argv
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    status = usage_status(argv, 1, with_list(__doc__, "Tasks:", TASKS))
    if status is not None:
        return status
    match argv[0]:
        case "bbreg":
            return _search_boxes(argv[1:])
        case "detection":
            return detection.main(argv[1:])
        case "age":
            return regression.main(age.TASK, argv[1:])
        case "head_pose":
            return regression.main(head_pose.TASK, argv[1:])
        case "toy":
            raise UserError("the toy has no step: nothing climbs, and its density is normalised on a grid")
    raise UserError(f"there is no task {argv[0]!r} with a refinement; there are: {', '.join(TASKS)}")


def _search_boxes(argv: list[str]) -> int:
    status = usage_status(argv, 2, f"usage: {_BOX_USAGE}\n\n{__doc__}")
    if status is not None:
        return status
    name, network = argv[0], Path(argv[1])
    parser = CommandParser(prog="ebm-search-steps bbreg", add_help=False)
    parser.add_argument("--position", nargs="+", type=positive_float, default=[])
    parser.add_argument("--size", nargs="+", type=positive_float, default=[])
    parser.add_argument("--space", choices=("relative", "pixel"))
    parser.add_argument("--iterations", type=positive_int)
    parser.add_argument("--start_error", nargs=2, type=_error, default=(0.0, 0.0))
    parser.add_argument("--out", type=Path)
    add_jobs(parser)
    own, rest = parser.parse_known_args(argv[2:])
    settings: BBRegSettings = parse_settings(load_settings("bbreg", name), _BOX_USAGE, rest)
    climb, _ = default_climb(settings)
    climb = replace(
        climb,
        space=own.space or climb.space,
        iterations=own.iterations or climb.iterations,
        start_error=tuple(own.start_error),
    )
    asked = BoxSearch(name, network, climb, own.position, own.size, own.out, own.jobs, own.cluster, own.gpus_per_worker)
    return search_boxes(box_actor(settings, network), settings, asked)


def _error(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return value


if __name__ == "__main__":
    sys.exit(main())
