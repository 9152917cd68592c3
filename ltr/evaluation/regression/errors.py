"""Mean absolute errors of the baselines' predictions, before and after refinement by the energy-based model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ebm_common import ascend_early_stop
from ltr.common.device import choose_device
from ltr.data.loading import batches
from ltr.dataset import LabelledImages
from ltr.evaluation.regression.options import RegressionEvaluationOptions, RegressionRefinementSettings
from ltr.evaluation.regression.task import BASELINES, RegressionTask
from ltr.evaluation.runs import TrainedRun
from ltr.evaluation.steps.choice import StepChoice, kept_choice
from ltr.train_settings.registry import load_settings
from ltr.train_settings.regression import Part, samples


@dataclass
class BaselineErrors:
    """Errors of one run of a baseline.

    Attributes:
        run: name of the run.
        seed: its seed.
        errors: mean absolute errors by column.
        refined_by: name of the energy-based run that refines the predictions, or None.
        refined_errors: errors after that refinement.
        step: its lambda.
        chosen: the search that has chosen this lambda, or None.
    """

    run: str
    seed: int
    errors: dict[str, float]
    refined_by: str | None = None
    refined_errors: dict[str, float] = field(default_factory=dict)
    step: float | None = None
    chosen: StepChoice | None = None


def evaluate_runs(
    task: RegressionTask,
    runs: list[TrainedRun],
    options: RegressionEvaluationOptions,
    by_every_ebm: bool = False,
) -> tuple[dict[str, list[BaselineErrors]], LabelledImages]:
    """Evaluates all runs; with `options.refine`, energy-based runs refine the predictions of the baselines.

    The energy-based run of the same seed refines each baseline; if there is none, the first energy-based run does. Its
    lambda is that of the options, or else what a search has chosen for it, or else the paper's. With `by_every_ebm` all
    of them refine it, one after the other, and a baseline has a result for each.

    Returns:
        Results by baseline, in the paper's order, without baselines that have no run; and the images.

    Raises:
        UserError: if data is missing, or weights do not fit.
    """
    device = choose_device(options.device)
    settings, images = runs[0].settings, read_images(task, runs[0], options.split)
    label = torch.tensor(images.labels)
    columns = {"": torch.arange(len(label))}
    if task.excluded and options.split == "test":
        name, excluded = task.excluded(settings, images)
        keep = torch.ones(len(label), dtype=torch.bool)
        keep[excluded] = False
        columns[name] = keep.nonzero()[:, 0]

    def errors(prediction: Tensor) -> dict[str, float]:
        return {
            f"{target}{suffix}": value
            for suffix, rows in columns.items()
            for target, value in mean_absolute_errors(prediction[rows], label[rows], images.target_names).items()
        }

    baselines = [run for run in runs if run.system in BASELINES]
    ebms = [run for run in runs if run.system == "ebm"] if options.refine else []
    by_ebm: dict[Path, list[tuple[BaselineErrors, Tensor]]] = {run.weights: [] for run in ebms}
    refining = {run.weights: ebms if by_every_ebm or not ebms else [refining_run(run, ebms)] for run in baselines}
    used = {ebm.weights for chosen in refining.values() for ebm in chosen}
    steps = {weights: _step(task, weights, options.refinement.step) for weights in used}
    results: dict[str, list[BaselineErrors]] = {system: [] for system in BASELINES}
    total = (len(baselines) + len(ebms)) * len(images)
    with tqdm(total=total, unit="image", leave=False, disable=None, dynamic_ncols=True) as bar, torch.no_grad():
        for run in baselines:
            actor: Any = run.load(label.shape[1], device)
            prediction = apply_to_images(actor.predict, run, actor, images, options, bar)
            plain = errors(prediction)
            refiners: Sequence[TrainedRun | None] = refining[run.weights] or [None]
            for refiner in refiners:
                result = BaselineErrors(run.name, run.seed, plain)
                results[run.system].append(result)
                if refiner is not None:
                    by_ebm[refiner.weights].append((result, prediction))
        for ebm in ebms:
            if not by_ebm[ebm.weights]:
                bar.update(len(images))
                continue
            actor = ebm.load(label.shape[1], device)
            features = apply_to_images(actor.net.encode, ebm, actor, images, options, bar)
            step, chosen = steps[ebm.weights]
            for result, prediction in by_ebm[ebm.weights]:
                result.refined_by, result.step, result.chosen = ebm.name, step, chosen
                result.refined_errors = errors(refine(actor.net, features, prediction, step, options.refinement))
    return {system: found for system, found in results.items() if found}, images


def _step(task: RegressionTask, weights: Path, asked: float | None) -> tuple[float, StepChoice | None]:
    """The lambda of a run, and the search that has chosen it, if it was a search."""
    chosen = kept_choice(weights) if asked is None else None
    return (task.step if asked is None else asked, None) if chosen is None else (chosen.step[0], chosen)


def read_images(task: RegressionTask, run: TrainedRun, split: Part) -> LabelledImages:
    """The images of a split, as the run's settings name them.

    Raises:
        UserError: if data is missing.
    """
    read = load_settings(task.name, run.system).images
    if read is None:
        raise ValueError(f"{task.name} has no images")
    return read(run.settings, split)


def refining_run(baseline: TrainedRun, ebms: Sequence[TrainedRun]) -> TrainedRun:
    """The energy-based run that refines a baseline's predictions: the one of its seed, or else the first."""
    return next((ebm for ebm in ebms if ebm.seed == baseline.seed), ebms[0])


def refine(
    net: Any, features: Tensor, prediction: Tensor, step: float, settings: RegressionRefinementSettings
) -> Tensor:
    """Refines predictions (N, D) of a baseline by Algorithm S2 on `net.energy`, given the features of N images.

    The step-length is `step`, and all else as the settings say.
    """
    first = next(net.parameters(), prediction)
    refined = []
    for part, start in zip(features.split(1024), prediction.split(1024), strict=True):
        part = part.to(first.device)
        result = ascend_early_stop(
            lambda y, part=part: net.energy(part, y),
            start[:, None].to(first.device, part.dtype),
            step,
            settings.iterations,
            settings.stop_threshold,
            settings.degeneration_tolerance,
        )
        refined.append(result.y[:, 0].cpu())
    return torch.cat(refined)


def mean_absolute_errors(prediction: Tensor, label: Tensor, targets: tuple[str, ...]) -> dict[str, float]:
    """Mean absolute error of each target over images, and their average 'avg' if there are several; both (N, D)."""
    each = (prediction.double() - label.double()).abs().mean(0)
    found = dict(zip(targets, each.tolist(), strict=True))
    return found if len(targets) == 1 else {**found, "avg": each.mean().item()}


def apply_to_images(
    function: Callable[[Tensor], Tensor],
    run: TrainedRun,
    actor: Any,
    images: LabelledImages,
    options: RegressionEvaluationOptions,
    bar: tqdm,
) -> Tensor:
    """The values of a function of batches for all images of `options.split`, concatenated on the CPU."""
    settings = replace(run.settings, workspace=options.workspace, workers=options.workers, device=options.device)
    encoder = actor.net.encoder
    device = next(actor.parameters()).device
    bar.set_description(run.name)
    found = []
    for batch in batches(samples(settings, images, options.split, encoder), 64, options.workers):
        found.append(function(batch["x"].to(device)).float().cpu())
        bar.update(len(found[-1]))
    return torch.cat(found)
