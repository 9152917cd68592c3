"""Tables S4 and S6: mean absolute errors of six baselines, and of their predictions refined by the energy-based model.

The energy-based run of the same seed refines each run of a baseline; if there is none, the first energy-based run does.
"""

from __future__ import annotations

import tyro

from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.provenance import provenance
from ltr.evaluation.regression.errors import evaluate_runs
from ltr.evaluation.regression.options import RegressionEvaluationOptions
from ltr.evaluation.regression.table import make_table
from ltr.evaluation.regression.task import BASELINES, RegressionTask
from ltr.evaluation.runs import check_alike, find_runs
from ltr.evaluation.tables import write_table


def main(task: RegressionTask, argv: list[str]) -> int:
    """The command `ebm-evaluate <task>`; returns 0.

    Raises:
        UserError: if there is no run, runs cannot share a table, data is missing, or a folder cannot be written.
    """
    options = tyro.cli(RegressionEvaluationOptions, args=argv, prog=f"ebm-evaluate {task.name}", use_underscores=True)
    for name, value in (("workers", options.workers), ("refinement.iterations", options.refinement.iterations)):
        if value < 0:
            raise UserError(f"--{name} is {value}; it must be at least 0.")
    workspace = get_path("workspace", options.workspace)
    runs, problems = find_runs(task.name, options.runs or [workspace / "checkpoints" / "ltr" / task.name])
    if not any(run.system in BASELINES for run in runs):
        raise UserError(
            "no finished run of a baseline was found"
            + "".join(f"; {problem}" for problem in problems[:1])
            + f"; train one: ebm-train {task.name} direct_l2"
        )
    check_alike(runs)
    results, images = evaluate_runs(task, runs, options)
    table = make_table(task, results, runs, images, options, problems)
    print(table.text())
    about = provenance(options, results={s: [vars(r) for r in found] for s, found in results.items()})
    about |= {"runs": {str(run.weights): run.settings for run in runs}, "notes": table.notes}
    for path in write_table(table, options.out or workspace / "evaluation" / task.name, options.split, about):
        print(f"written: {path}")
    return 0
