"""Compare widths of the proposal (Tables S3 and S5): `python ltr/run_ablation.py <task> [--field value ...]`, such as

    python ltr/run_ablation.py age
    python ltr/run_ablation.py head_pose --encoder.name efficientnet_lite0 --encoder.frozen_copies 8 --epochs 20

It trains one baseline, and the energy-based model once for each pair of widths, and prints the baseline's mean absolute
error on the validation images after refinement by each. Settings are those of `python ltr/run_training.py <task> ebm`
and hold for all. Runs are in {workspace}/checkpoints/ltr/<task>_sigmas/, with the table beside them as text, JSON and
LaTeX; the same command goes on where it was stopped.
Two options belong to the command and not to the settings:

    --baseline NAME   what is refined (direct_l2)
    --restart         delete the trainings' checkpoints and start anew
"""

from __future__ import annotations

import argparse
import copy
import importlib
import logging
import sys
from pathlib import Path

import tyro

from ltr.common.environment import get_path
from ltr.common.errors import UserError, cli_main
from ltr.common.files import write_json, write_text
from ltr.common.provenance import provenance
from ltr.common.seeds import seed_for_build
from ltr.evaluation.regression import (
    BASELINES,
    RegressionEvaluationOptions,
    RegressionRefinementSettings,
    evaluate_runs,
)
from ltr.evaluation.runs import find_runs
from ltr.evaluation.tables import Mean, Table
from ltr.train_settings.registry import load_settings
from ltr.trainers.trainer import Trainer

#: Widths of the two components, and the paper's error on its own validation images.
PAPER = {
    "age": {(0.1, 10.0): 7.62, (0.1, 20.0): 5.12, (0.01, 20.0): 5.36, (0.1, 40.0): 5.24},
    "head_pose": {(0.1, 20.0): 6.96, (1.0, 20.0): 5.08, (1.0, 30.0): 5.24, (2.0, 20.0): 7.02, (1.0, 10.0): 7.56},
}


@cli_main
def main(argv: list[str] | None = None) -> int:
    """Returns 0, or 128 + signal (Ctrl-C: 130) when a training was stopped and its state saved."""
    argv = sys.argv[1:] if argv is None else argv
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    if not argv or argv[0] not in PAPER:
        print(__doc__)
        print(f"Tasks: {', '.join(PAPER)}")
        return 0 if {"-h", "--help"} & set(argv) else 2
    task = argv[0]
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--baseline", choices=BASELINES, default="direct_l2")
    parser.add_argument("--restart", action="store_true")
    own, rest = parser.parse_known_args(argv[1:])
    definition = load_settings(task, "ebm")
    default = definition.settings()
    settings = tyro.cli(
        type(default), default=default, args=rest, prog=f"run_ablation.py {task} [--baseline NAME] [--restart]"
    )
    if settings.system != "ebm":
        raise UserError("--system is no choice here: the energy-based model refines what --baseline names.")

    folder = get_path("workspace", settings.workspace) / "checkpoints" / "ltr" / f"{task}_sigmas"
    trainings = {f"{own.baseline}_{settings.seed}": (own.baseline, settings.loss.sigmas)}
    names = {sigmas: f"ebm_{sigmas[0]:g}_{sigmas[1]:g}_{settings.seed}" for sigmas in PAPER[task]}
    trainings |= {name: ("ebm", sigmas) for sigmas, name in names.items()}
    for name, (system, sigmas) in trainings.items():
        print(f"--- {name}")
        each = copy.deepcopy(settings)
        each.system, each.loss.sigmas = system, sigmas
        seed_for_build(each.seed)
        trainer = Trainer(each, definition.build(each), folder / name, system)
        if not trainer.train(own.restart):
            return 128 + trainer.stop_signal
    table = _table(task, folder, own.baseline, names, settings)
    write_text(folder / "table.txt", table.text() + "\n")
    write_text(folder / "table.tex", table.latex())
    write_json(folder / "table.json", provenance(settings, baseline=own.baseline, rows=table.rows, notes=table.notes))
    print(f"{table.text()}\nThe table as text, LaTeX and JSON: {folder}/table.*")
    return 0


def _table(task: str, folder: Path, baseline: str, names: dict, settings) -> Table:
    """Errors on validation images by widths, beside the paper's."""
    spec = importlib.import_module(f"ltr.evaluation.{task}").TASK
    table = Table(
        f"{spec.title.split(' (')[0]}, validation: mean absolute error of {BASELINES[baseline]} after refinement",
        ["here", "paper"],
        [("", 2)],
    )
    refinement = RegressionRefinementSettings(spec.step)
    options = RegressionEvaluationOptions(refinement, True, "val", workspace=settings.workspace, device=settings.device)
    runs, _ = find_runs(task, [folder / f"{baseline}_{settings.seed}"])
    for sigmas, paper in PAPER[task].items():
        ebm, _ = find_runs(task, [folder / names[sigmas]])
        results, _ = evaluate_runs(spec, [*runs, *ebm], options)
        (result,) = results[baseline]
        error, plain = list(result.refined_errors.values())[-1], list(result.errors.values())[-1]
        table.rows.append((f"{sigmas[0]:g}, {sigmas[1]:g}", [Mean(error), Mean(paper)]))
    table.notes.append(f"Before refinement: {plain:.2f}. The paper does not say which baseline its figures are of.")
    return table


if __name__ == "__main__":
    sys.exit(main())
