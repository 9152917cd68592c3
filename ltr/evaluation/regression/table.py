"""The table of errors beside the paper's, and the notes below it."""

from __future__ import annotations

from dataclasses import replace

from ltr.common.errors import UserError
from ltr.dataset import LabelledImages
from ltr.evaluation.departures import departures, departures_note
from ltr.evaluation.regression.errors import BaselineErrors, read_images
from ltr.evaluation.regression.options import RegressionEvaluationOptions
from ltr.evaluation.regression.task import BASELINES, RegressionTask
from ltr.evaluation.runs import TrainedRun
from ltr.evaluation.steps.choice import origin
from ltr.evaluation.tables import Mean, Table
from ltr.train_settings.registry import load_settings

_NOT_IN_PAPER = ("seed", "data.val_seed")
_USED_BY = {
    "loss": ("ebm",),
    "bins": ("softmax_ce_l2", "softmax_ce_l2_var"),
    "initial_scale": ("gaussian", "laplace"),
}


def make_table(
    task: RegressionTask,
    results: dict[str, list[BaselineErrors]],
    runs: list[TrainedRun],
    images: LabelledImages,
    options: RegressionEvaluationOptions,
    problems: list[str],
) -> Table:
    """The results beside the paper's figures, with notes on training, refinement, missing systems and problems."""
    columns = list(next(iter(results.values()))[0].errors)
    in_paper = {c for figures in task.paper.values() for c in figures}
    # The paper's figures are of test images; beside errors on validation images they would only mislead.
    paper_columns = [c for c in columns if c in in_paper] if options.split == "test" else []
    groups = [("here", len(columns) + 1), ("paper", len(paper_columns))]
    table = Table(
        f"{task.title}, {options.split}: mean absolute error, mean ± standard error over runs",
        [*columns, "runs", *paper_columns],
        [group for group in groups if group[1]],
    )
    if paper_columns:
        for method, figures in task.others.items():
            here: list[Mean | str | None] = [None] * (len(columns) + 1)
            table.rows.append((method, [*here, *(figures.get(c) for c in paper_columns)]))

    def add_row(method: str, key: str, found: list[dict[str, float]]) -> None:
        ours = [Mean.of([errors[c] for errors in found]) for c in columns]
        paper = [task.paper[key].get(c) for c in paper_columns]
        table.rows.append((method, [*ours, str(len(found)), *paper]))

    for system, found in results.items():
        method = BASELINES[system]
        add_row(method, method, [r.errors for r in found])
        refined = [r.refined_errors for r in found if r.refined_by]
        if refined:
            add_row(f"{method} + Refinement", f"{method}+", refined)
    table.notes = [
        _training_note(runs, images),
        *_departures(task, runs),
        *_missing(task, results, runs, options),
        *problems,
    ]
    table.notes[1:1] = _refinement_notes([r for found in results.values() for r in found if r.refined_by], options)
    return table


def _refinement_notes(refined: list[BaselineErrors], options: RegressionEvaluationOptions) -> list[str]:
    """The constants of the refinement, and where its step-lengths come from, if anything was refined."""
    by_step: dict[float, list[BaselineErrors]] = {}
    for result in refined:
        by_step.setdefault(result.step or 0.0, []).append(result)
    r = options.refinement
    found = []
    for step, results in sorted(by_step.items()):
        names = " and ".join(sorted({str(result.refined_by) for result in results}))
        found.append(
            f"Refinement: Algorithm S2 with T = {r.iterations}, Omega1 = {r.stop_threshold:g}, Omega2 = "
            f"{r.degeneration_tolerance:g}, lambda = {step:g}, by {names}."
        )
        found += sorted({f"{origin(result.chosen)}." for result in results if result.chosen})
    return found


def _training_note(runs: list[TrainedRun], images: LabelledImages) -> str:
    """Encoder, schedule and images of the runs, in one sentence."""
    s = runs[0].settings
    encoder = s.encoder.name
    if s.encoder.frozen_copies:
        encoder += f", frozen, features of {s.encoder.frozen_copies} augmented versions of each image"
    text = (
        f"Run: {encoder}; {runs[0].epochs} epochs of {s.samples_per_epoch} images of {s.augment.size} x "
        f"{s.augment.size}, batch {s.batch_size}, rate {s.optimizer.lr:g} ({s.schedule.kind}"
    )
    steps_down = s.schedule.kind == "step" and s.schedule.gamma != 1
    text += f", times {s.schedule.gamma:g} every {s.schedule.step_size} epochs)" if steps_down else ")"
    for ebm in [run for run in runs if run.system == "ebm"][:1]:
        loss = ebm.settings.loss
        text += f"; EBM with M = {loss.num_samples}, sigmas {' and '.join(f'{s:g}' for s in loss.sigmas)}"
    return f"{text}. {images.summary()}."


def _departures(task: RegressionTask, runs: list[TrainedRun]) -> list[str]:
    """A note about every setting of the trainings that is not the paper's, if there are any."""
    found: dict[str, str] = {}
    ignored = list(_NOT_IN_PAPER)
    try:
        all_images = len(read_images(task, runs[0], "train"))  # runs that share a table have the same
    except UserError:  # they are where the runs were trained; the note on the training says how many it used
        all_images = None
        ignored.append("samples_per_epoch")
    for run in runs:
        settings = run.settings
        if settings.samples_per_epoch == all_images:
            settings = replace(settings, samples_per_epoch=0)  # all images, which a training replaces by their number
        unused = [name for name, systems in _USED_BY.items() if run.system not in systems]
        paper = load_settings(task.name, run.system).settings()
        for name, text in departures([(settings, paper)], [*ignored, *unused]).items():
            found.setdefault(name, text)
    return departures_note(found)


def _missing(
    task: RegressionTask,
    results: dict[str, list[BaselineErrors]],
    runs: list[TrainedRun],
    options: RegressionEvaluationOptions,
) -> list[str]:
    """A note about systems without a finished run, if there are any."""
    missing = [system for system in BASELINES if system not in results]
    if options.refine and not any(run.system == "ebm" for run in runs):
        missing.append("ebm")
    return [f"No finished run of {', '.join(missing)}; train one: ebm-train {task.name} NAME."] if missing else []
