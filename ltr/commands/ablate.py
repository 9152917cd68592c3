"""Compare widths of the proposal (Tables S3 and S5): ebm-ablate <task> [--setting value ...]

    ebm-ablate age
    ebm-ablate head_pose --encoder.name efficientnet_lite0 --encoder.frozen_copies 8 --epochs 20

Trains one baseline, and the energy-based model once for each pair of widths. Prints the baseline's
mean absolute error on the validation images after refinement by each model. The settings are those
of `ebm-train <task> ebm` and hold for all trainings. Runs are in
{workspace}/checkpoints/ltr/<task>_sigmas/, with the table beside them as text, JSON and LaTeX. A
stopped comparison continues with the same command. Some options belong to the command and not to
the settings:

    --baseline NAME   the system that is refined (direct_l2)
    --restart         delete the trainings' checkpoints and start anew
    --jobs N          trainings at once, each a process (1)
    --cluster A       make them on a Ray cluster: auto, HOST:PORT or ray://HOST:10001
    --gpus_per_worker F   of a training there (1, if there are GPUs)
"""

from __future__ import annotations

import logging
import sys

from ltr.commands import ablate_detection
from ltr.commands.usage import parse_settings, usage_status
from ltr.common.command_line import CommandParser
from ltr.common.environment import get_path
from ltr.common.errors import UserError, cli_main
from ltr.common.provenance import provenance
from ltr.evaluation import age, head_pose
from ltr.evaluation.regression import BASELINES
from ltr.evaluation.regression.ablation import PAPER_ERRORS, WidthAblation
from ltr.evaluation.tables import write_table
from ltr.evaluation.trainings.rounds import train_rounds
from ltr.evaluation.trainings.spread import add_jobs, ending, spread_trainings
from ltr.train_settings.registry import load_settings

TASKS = {task.name: task for task in (age.TASK, head_pose.TASK)}


@cli_main
def main(argv: list[str] | None = None) -> int:
    """Returns 0, 1 if a training failed, or 128 + signal (Ctrl-C: 130) if the trainings were stopped."""
    argv = sys.argv[1:] if argv is None else argv
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    status = usage_status(argv, 1, f"{__doc__}\nTasks: {', '.join([*PAPER_ERRORS, 'detection'])}")
    if status is not None:
        return status
    task = argv[0]
    if task == "bbreg":
        raise UserError("the proposals of bbreg are compared in the tracker: python pytracking/run_ablation.py bbreg")
    if task == "detection":
        return ablate_detection.main(argv[1:])
    if task not in PAPER_ERRORS:
        raise UserError(
            f"there is no ablation of {task!r}; there are: {', '.join([*PAPER_ERRORS, 'detection', 'bbreg'])}"
        )
    parser = CommandParser(prog="ebm-ablate", add_help=False)
    parser.add_argument("--baseline", choices=BASELINES, default="direct_l2")
    parser.add_argument("--restart", action="store_true")
    add_jobs(parser)
    own, rest = parser.parse_known_args(argv[1:])
    recipe = load_settings(task, "ebm")
    settings = parse_settings(recipe, f"ebm-ablate {task} [--baseline NAME] [--restart] [--jobs N] [--cluster A]", rest)
    if settings.system != "ebm":
        raise UserError("--system is no choice here: the energy-based model refines what --baseline names.")

    folder = get_path("workspace", settings.workspace) / "checkpoints" / "ltr" / f"{task}_sigmas"
    ablation = WidthAblation(TASKS[task], settings, own.baseline, folder)
    trainings = ablation.trainings
    with spread_trainings(own, trainings) as (jobs, how):
        outcome = train_rounds([trainings], jobs, restart=own.restart, **how)
    stopped = ending(outcome, len(trainings))
    if stopped is not None:
        return stopped
    if outcome.failures:
        for name, failure in outcome.failures.items():
            print(f"{name} failed: {failure}", file=sys.stderr)
        return 1
    table = ablation.table()
    about = provenance(settings, baseline=own.baseline, rows=table.rows, notes=table.notes)
    print(table.text())
    for path in write_table(table, folder, "table", about):
        print(f"written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
