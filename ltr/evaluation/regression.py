"""Tables S4 and S6: mean absolute errors of six baselines, and of their predictions refined by the energy-based model.

Each run of a baseline is refined by the energy-based run of the same seed, or by the first where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from torch import Tensor
from tqdm import tqdm

from ebm_common import ascend_early_stop
from ltr.common.device import choose_device
from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.files import write_json, write_text
from ltr.common.provenance import provenance
from ltr.data.loading import batches
from ltr.dataset import LabelledImages
from ltr.evaluation.runs import TrainedRun, check_alike, find_runs
from ltr.evaluation.tables import Mean, Table
from ltr.train_settings.registry import load_settings
from ltr.train_settings.regression import samples

BASELINES = {
    "direct_huber": "Direct - Huber",
    "direct_l2": "Direct - L2",
    "gaussian": "Gaussian",
    "laplace": "Laplace",
    "softmax_ce_l2": "Softmax - CE & L2",
    "softmax_ce_l2_var": "Softmax - CE, L2 & Var",
}
Split = Literal["test", "val"]


@dataclass
class RefinementSettings:
    """Algorithm S2 (E.3, F.3)."""

    step: float
    """lambda, chosen on validation data: 3 for age, 0.1 for head pose."""
    iterations: int = 5
    """T"""
    stop_threshold: float = 0.001
    """Omega_1"""
    degeneration_tolerance: float = -0.01
    """Omega_2"""


@dataclass
class Options:
    """What is evaluated, and where."""

    refinement: RefinementSettings
    refine: bool = False
    """Also refine every baseline's predictions by the energy-based model."""
    split: Split = "test"
    """Images of the test, or of validation: what step-lengths are chosen on."""
    runs: tuple[Path, ...] = ()
    """Folders of runs, or runs; by default all of the task in the workspace."""
    out: Path | None = None
    """Folder of the table as text, JSON and LaTeX; by default one in the workspace."""
    workspace: Path | None = None
    """Where runs, features and results lie."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int = 0
    """Processes that load images."""


@dataclass(frozen=True)
class RegressionTask:
    """What is special to a task.

    Attributes:
        name: folder of ltr/train_settings.
        title: of the table.
        step: the paper's lambda.
        paper: the paper's figures by method and column, method being a baseline's name, '+' added where it is refined.
        excluded: images that a second column leaves out, by its name; given settings and the images that are evaluated.
    """

    name: str
    title: str
    step: float
    paper: Mapping[str, Mapping[str, Mean]]
    excluded: Callable[[Any, LabelledImages], tuple[str, list[int]]] | None = None


@dataclass
class Result:
    """Errors of one run of a baseline.

    Attributes:
        run: its name; `seed` its seed.
        errors: mean absolute error by column.
        refined_by: the energy-based run whose refinement has `refined_errors`.
    """

    run: str
    seed: int
    errors: dict[str, float]
    refined_by: str | None = None
    refined_errors: dict[str, float] = field(default_factory=dict)


def main(task: RegressionTask, argv: list[str]) -> int:
    """The command `run_evaluation.py <task>`; returns 0.

    Raises:
        UserError: no run, runs that cannot share a table, data that cannot be had, or a folder that cannot be written.
    """
    default = Options(RefinementSettings(task.step))
    options = tyro.cli(Options, default=default, args=argv, prog=f"run_evaluation.py {task.name}")
    for name, value in (("workers", options.workers), ("refinement.iterations", options.refinement.iterations)):
        if value < 0:
            raise UserError(f"--{name} is {value}; it must be at least 0.")
    workspace = get_path("workspace", options.workspace)
    runs, problems = find_runs(task.name, options.runs or [workspace / "checkpoints" / "ltr" / task.name])
    if not any(run.system in BASELINES for run in runs):
        raise UserError(
            "no finished run of a baseline was found"
            + "".join(f"; {problem}" for problem in problems[:1])
            + f"; train one: python ltr/run_training.py {task.name} direct_l2"
        )
    check_alike(runs)
    results, images = evaluate(task, runs, options)
    table = make_table(task, results, runs, images, options, problems)
    print(table.text())
    for path in _write(table, results, runs, options, workspace / "evaluation" / task.name):
        print(f"written: {path}")
    return 0


def evaluate(
    task: RegressionTask, runs: list[TrainedRun], options: Options
) -> tuple[dict[str, list[Result]], LabelledImages]:
    """Results of all runs of each baseline that has one, in the paper's order, and the images.

    Raises:
        UserError: data that cannot be had or weights that do not fit.
    """
    device = choose_device(options.device)
    settings = runs[0].settings
    images = load_settings(task.name, settings.system).images(settings, options.split)
    label = torch.tensor(images.labels)
    columns = {"": torch.arange(len(label))}
    if task.excluded and options.split == "test":
        name, left_out = task.excluded(settings, images)
        keep = torch.ones(len(label), dtype=torch.bool)
        keep[left_out] = False
        columns[name] = keep.nonzero()[:, 0]

    def errors(prediction: Tensor) -> dict[str, float]:
        return {
            f"{target}{suffix}": value
            for suffix, rows in columns.items()
            for target, value in mean_absolute_errors(prediction[rows], label[rows], images.target_names).items()
        }

    ebms = [run for run in runs if run.system == "ebm"] if options.refine else []
    baselines = [run for run in runs if run.system in BASELINES]
    by_ebm: dict[Path, list[tuple[Result, Tensor]]] = {run.weights: [] for run in ebms}
    results: dict[str, list[Result]] = {system: [] for system in BASELINES}
    total = (len(baselines) + len(ebms)) * len(images)
    with tqdm(total=total, unit="image", leave=False, disable=None, dynamic_ncols=True) as bar, torch.no_grad():
        for run in baselines:
            actor = run.load(label.shape[1], device)
            prediction = _through(actor.predict, run, actor, images, options, bar)
            result = Result(run.name, run.seed, errors(prediction))
            results[run.system].append(result)
            if ebms:
                ebm = next((ebm for ebm in ebms if ebm.seed == run.seed), ebms[0])
                by_ebm[ebm.weights].append((result, prediction))
        for ebm in ebms:
            if not by_ebm[ebm.weights]:
                bar.update(len(images))
                continue
            actor = ebm.load(label.shape[1], device)
            features = _through(actor.net.encode, ebm, actor, images, options, bar)
            for result, prediction in by_ebm[ebm.weights]:
                result.refined_by = ebm.name
                result.refined_errors = errors(refine(actor.net, features, prediction, options.refinement))
    return {system: found for system, found in results.items() if found}, images


def refine(net: Any, features: Tensor, prediction: Tensor, settings: RefinementSettings) -> Tensor:
    """Predictions (N, D) of a baseline climbed by Algorithm S2 on `net.energy` at the features of N images."""
    first = next(net.parameters(), prediction)
    refined = []
    for part, start in zip(features.split(1024), prediction.split(1024), strict=True):
        part = part.to(first.device)
        result = ascend_early_stop(
            lambda y, part=part: net.energy(part, y),
            start[:, None].to(first.device, part.dtype),
            settings.step,
            settings.iterations,
            settings.stop_threshold,
            settings.degeneration_tolerance,
        )
        refined.append(result.y[:, 0].cpu())
    return torch.cat(refined)


def mean_absolute_errors(prediction: Tensor, label: Tensor, targets: tuple[str, ...]) -> dict[str, float]:
    """Mean absolute error over images of each target, and, for several, their average 'avg'. (N, D) both."""
    each = (prediction.double() - label.double()).abs().mean(0)
    found = dict(zip(targets, each.tolist(), strict=True))
    return found if len(targets) == 1 else {**found, "avg": each.mean().item()}


def make_table(
    task: RegressionTask,
    results: dict[str, list[Result]],
    runs: list[TrainedRun],
    images: LabelledImages,
    options: Options,
    problems: list[str],
) -> Table:
    """The paper's table with what was found, what is missing, and what was run."""
    columns = list(next(iter(results.values()))[0].errors)
    theirs = [c for c in columns if any(c in figures for figures in task.paper.values())]
    table = Table(
        f"{task.title}, {options.split}: mean absolute error, mean ± standard error over runs",
        [*columns, "runs", *theirs],
        [("here", len(columns) + 1), ("paper", len(theirs))],
    )

    def row(method: str, key: str, found: list[dict[str, float]]) -> None:
        ours = [Mean.of([errors[c] for errors in found]) for c in columns]
        paper = [task.paper[key].get(c) for c in theirs]
        table.rows.append((method, [*ours, str(len(found)), *paper]))

    for system, found in results.items():
        method = BASELINES[system]
        row(method, method, [r.errors for r in found])
        refined = [r.refined_errors for r in found if r.refined_by]
        if refined:
            row(f"{method} + Refinement", f"{method}+", refined)
    table.notes = [_what_was_run(runs, images), *_missing(task, results, runs, options), *problems]
    used = sorted({r.refined_by for found in results.values() for r in found if r.refined_by})
    if used:
        r = options.refinement
        table.notes.insert(
            1,
            f"Refinement: Algorithm S2 with T = {r.iterations}, Omega1 = {r.stop_threshold:g}, Omega2 = "
            f"{r.degeneration_tolerance:g}, lambda = {r.step:g}, by {' and '.join(used)}.",
        )
    return table


def _what_was_run(runs: list[TrainedRun], images: LabelledImages) -> str:
    s = runs[0].settings
    encoder = s.encoder.name
    if s.encoder.frozen_copies:
        encoder += f", frozen, features of {s.encoder.frozen_copies} augmented versions of each image"
    text = (
        f"TrainedRun: {encoder}; {runs[0].epochs} epochs of {s.samples_per_epoch} images of {s.augment.size} x "
        f"{s.augment.size}, batch {s.batch_size}, rate {s.optimizer.lr:g} ({s.schedule.kind}"
    )
    text += f", times {s.schedule.gamma:g} every {s.schedule.step_size} epochs)" if _steps_down(s) else ")"
    for ebm in [run for run in runs if run.system == "ebm"][:1]:
        loss = ebm.settings.loss
        text += f"; EBM with M = {loss.number}, sigmas {' and '.join(f'{s:g}' for s in loss.sigmas)}"
    paper = s.encoder.name == "resnet50" and not s.encoder.frozen_copies and runs[0].epochs == 75
    return f"{text}. {images.summary()}." + ("" if paper else " Not the paper's schedule.")


def _steps_down(settings: Any) -> bool:
    return settings.schedule.kind == "step" and settings.schedule.gamma != 1


def _missing(
    task: RegressionTask, results: dict[str, list[Result]], runs: list[TrainedRun], options: Options
) -> list[str]:
    missing = [system for system in BASELINES if system not in results]
    if options.refine and not any(run.system == "ebm" for run in runs):
        missing.append("ebm")
    return [f"No finished run of {', '.join(missing)}: python ltr/run_training.py {task.name} NAME."] if missing else []


def _write(
    table: Table, results: dict[str, list[Result]], runs: list[TrainedRun], options: Options, default: Path
) -> list[Path]:
    out = options.out or default
    about = provenance(options, results={s: [vars(r) for r in found] for s, found in results.items()})
    about |= {"runs": {str(run.weights): run.settings for run in runs}, "notes": table.notes}
    paths = [out / f"{options.split}.{ending}" for ending in ("txt", "json", "tex")]
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(paths[0], table.text() + "\n")
        write_json(paths[1], about)
        write_text(paths[2], table.latex())
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}; name another by --out") from error
    return paths


def _through(
    function: Callable[[Tensor], Tensor],
    run: TrainedRun,
    actor: Any,
    images: LabelledImages,
    options: Options,
    bar: tqdm,
) -> Tensor:
    """The function's values of all images, one below the other, on the CPU."""
    settings = run.settings
    settings.workspace, settings.workers, settings.device = options.workspace, options.workers, options.device
    encoder = actor.net.encoder
    device = next(actor.parameters()).device
    bar.set_description(run.name)
    found = []
    for batch in batches(samples(settings, images, options.split, encoder), 64, options.workers):
        found.append(function(batch["x"].to(device)).float().cpu())
        bar.update(len(found[-1]))
    return torch.cat(found)
