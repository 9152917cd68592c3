"""Step-length of age and head pose: mean absolute error of the baselines' refined predictions (E.3, F.3).

As in the paper, one lambda serves all baselines and all runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from torch import Tensor
from tqdm import tqdm

from ltr.common.device import DeviceChoice, choose_device
from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.provenance import file_hash
from ltr.dataset import LabelledImages
from ltr.evaluation.line_log import LineLog
from ltr.evaluation.regression.errors import (
    apply_to_images,
    read_images,
    refine,
    refining_run,
)
from ltr.evaluation.regression.options import RegressionEvaluationOptions
from ltr.evaluation.regression.task import BASELINES, RegressionTask
from ltr.evaluation.runs import TrainedRun, check_alike, find_runs
from ltr.evaluation.steps import by_workers
from ltr.evaluation.steps.choice import StepChoice, keep_choice
from ltr.evaluation.steps.grid import StepGrid, StepSearch
from ltr.evaluation.steps.measured import Measured, measured_log, saying_how_to_continue
from ltr.evaluation.steps.output import write_search
from ltr.evaluation.steps.table import make_table

STEPS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_MEASURE = "mean absolute error"


@dataclass
class RegressionSearchOptions:
    """Chooses the step-length of the finished runs of a task, on its validation images."""

    step: tuple[float, ...] = STEPS
    """The values of lambda to try."""
    runs: tuple[Path, ...] = ()
    """Runs, or folders of runs; default: all runs of the task in the workspace."""
    out: Path | None = None
    """Folder for the table as text, JSON and LaTeX; default: a folder in the workspace."""
    workspace: Path | None = None
    """Root of runs, cached features and results."""
    device: DeviceChoice = "auto"
    """auto: cuda if there is one."""
    workers: int = 0
    """Processes that load images."""
    jobs: int | None = None
    """Processes that measure, each some of the baselines; on a cluster, the largest number of workers."""
    cluster: str | None = None
    """Measure on a Ray cluster: auto, HOST:PORT or ray://HOST:10001. All machines see the images and the workspace."""
    gpus_per_worker: float | None = None
    """Of a GPU, where the cluster has any."""


def main(task: RegressionTask, argv: list[str]) -> int:
    """The command `ebm-search-steps <task>`; returns 0.

    Raises:
        UserError: if there is no baseline or energy-based run, data is missing, or a folder cannot be written.
    """
    options = tyro.cli(RegressionSearchOptions, args=argv, prog=f"ebm-search-steps {task.name}", use_underscores=True)
    grid = StepGrid.of(step=options.step)
    workspace = get_path("workspace", options.workspace)
    out = options.out or workspace / "step_search" / task.name
    runs, problems = find_runs(task.name, options.runs or [workspace / "checkpoints" / "ltr" / task.name])
    ebms = [run for run in runs if run.system == "ebm"]
    baselines = [run for run in runs if run.system in BASELINES]
    for found, example in ((ebms, "ebm"), (baselines, "direct_l2")):
        if not found:
            kind = "energy-based run" if found is ebms else "run of a baseline"
            raise UserError(f"no finished {kind} was found; train one: ebm-train {task.name} {example}")
    check_alike(runs)
    with saying_how_to_continue(), by_workers.workers(options, out) as how:
        search, images = search_step(task, ebms, baselines, grid, options, out / "measured", how)
    table = make_table(search, f"Step-length of {task.title.split(' (')[0]}")
    best, where = search.best["step"], f"{len(images)} validation images of {images.name}"
    value = float(search.values[search.best_index])
    choice = StepChoice((best,), None, options_of(options).refinement.iterations, _MEASURE, value, where)
    files = [keep_choice(ebm.weights, choice) for ebm in ebms]
    table.notes += [
        f"On {where}; {len(baselines)} runs of baselines, refined by {', '.join(ebm.name for ebm in ebms)}: one step "
        "for all, as in the paper.",
        *problems,
    ]
    write_search(search, table, out, "step", files, options, f"ebm-evaluate {task.name} --refine")
    return 0


def search_step(
    task: RegressionTask,
    ebms: Sequence[TrainedRun],
    baselines: Sequence[TrainedRun],
    grid: StepGrid,
    options: RegressionSearchOptions,
    log_path: Path | None,
    how: by_workers.Workers | None = None,
) -> tuple[StepSearch, LabelledImages]:
    """The errors of all baselines, each refined by the energy-based run that refines it in the evaluation.

    Predictions and features are computed once for all steps.

    Args:
        how: the workers that measure; None measures in this process.

    Raises:
        UserError: if data is missing, weights do not fit, or the log cannot be written.
    """
    images = read_images(task, ebms[0], "val")
    about = {
        "images": [images.name, len(images), float(torch.tensor(images.labels).double().sum())],
        "weights": {str(run.weights): file_hash(run.weights) for run in [*ebms, *baselines]},
        "refinement": options_of(options).refinement,
    }
    with measured_log(log_path, grid.axes["step"], about) as log:
        measuring = ErrorMeasuring(task, ebms, baselines, grid, options)
        if how is not None:
            by_workers.measure_by_workers(measuring, log, len(baselines), "baselines", *how)
        measuring.measure(log, by_workers.WHOLE)
        return _search(grid, baselines, log), images


@dataclass(frozen=True)
class ErrorMeasuring:
    """Measures the errors of baselines with each step, here or in a worker. The attributes are those of
    :func:`search_step`."""

    task: RegressionTask
    ebms: Sequence[TrainedRun]
    baselines: Sequence[TrainedRun]
    grid: StepGrid
    options: RegressionSearchOptions

    def __call__(self) -> tuple[ErrorMeasuring, None]:
        return self, None

    @torch.no_grad()
    def measure(self, log: by_workers.MeasuredLog, part: by_workers.Part) -> None:
        """Measures the baselines of a part."""
        images = read_images(self.task, self.ebms[0], "val")
        label, evaluation = torch.tensor(images.labels), options_of(self.options)
        device, steps = choose_device(self.options.device), self.grid.axes["step"]
        todo = [run for run in part.of(list(self.baselines)) if str(run.weights) not in log]
        refined_by = {run.weights: refining_run(run, self.ebms) for run in todo}
        networks = len(todo) + len({ebm.weights for ebm in refined_by.values()})
        with tqdm(
            total=networks * len(images), unit="image", leave=False, disable=part.without_bar, dynamic_ncols=True
        ) as bar:
            for ebm in self.ebms:
                mine = [run for run in todo if refined_by[run.weights] is ebm]
                if not mine:
                    continue
                actor: Any = ebm.load(label.shape[1], device)
                features = apply_to_images(actor.net.encode, ebm, actor, images, evaluation, bar)
                for run in mine:
                    baseline: Any = run.load(label.shape[1], device)
                    prediction = apply_to_images(baseline.predict, run, baseline, images, evaluation, bar)
                    after = [refine(actor.net, features, prediction, step, evaluation.refinement) for step in steps]
                    errors = [_error(y, label) for y in (prediction, *after)]
                    log.append(Measured(str(run.weights), 1, errors[0], errors[1:]))


def options_of(options: RegressionSearchOptions) -> RegressionEvaluationOptions:
    """The evaluation that a search repeats with every step."""
    return RegressionEvaluationOptions(
        split="val", workspace=options.workspace, device=options.device, workers=options.workers
    )


def _search(grid: StepGrid, baselines: Sequence[TrainedRun], log: LineLog[Measured]) -> StepSearch:
    """The mean over the runs of each baseline, by the paper's name of the baseline."""
    parts, before = {}, {}
    for system, method in BASELINES.items():
        found = [log[str(run.weights)] for run in baselines if run.system == system]
        if found:
            parts[method] = np.mean([m.sums for m in found], axis=0)
            before[method] = float(np.mean([m.before for m in found]))
    return StepSearch(grid, parts, before, _MEASURE, higher_is_better=False)


def _error(prediction: Tensor, label: Tensor) -> float:
    """The mean absolute error over all images and targets."""
    return (prediction.double() - label.double()).abs().mean().item()
