"""Widths of the proposal compared (Tables S3 and S5): one baseline, refined by a model of each pair of widths."""

from __future__ import annotations

import copy
from pathlib import Path

from ltr.evaluation.regression.errors import evaluate_runs
from ltr.evaluation.regression.options import RegressionEvaluationOptions, RegressionRefinementSettings
from ltr.evaluation.regression.task import BASELINES, RegressionTask
from ltr.evaluation.runs import find_runs
from ltr.evaluation.tables import Mean, Table
from ltr.evaluation.trainings.reproduction import count_images
from ltr.evaluation.trainings.training import Training
from ltr.train_settings.regression import RegressionSettings

PAPER_ERRORS = {
    "age": {(0.1, 10.0): 7.62, (0.1, 20.0): 5.12, (0.01, 20.0): 5.36, (0.1, 40.0): 5.24},
    "head_pose": {(0.1, 20.0): 6.96, (1.0, 20.0): 5.08, (1.0, 30.0): 5.24, (2.0, 20.0): 7.02, (1.0, 10.0): 7.56},
}
"""Widths of the two components, and the paper's error on its own validation images, by task."""


class WidthAblation:
    """The trainings of one ablation, and its table.

    Args:
        task: age or head pose.
        settings: of all trainings, apart from their system and widths.
        baseline: the system that is refined.
        folder: where the trainings lie, each in a folder of its own.

    Raises:
        UserError: if data are missing.
    """

    def __init__(self, task: RegressionTask, settings: RegressionSettings, baseline: str, folder: Path) -> None:
        self.task, self.settings, self.baseline, self.folder = task, settings, baseline, folder
        count_images(task.name, {"ebm": settings})
        self._baseline_run = f"{baseline}_{settings.seed}"
        self._runs = {widths: f"ebm_{widths[0]:g}_{widths[1]:g}_{settings.seed}" for widths in PAPER_ERRORS[task.name]}

    @property
    def trainings(self) -> list[Training]:
        """The baseline, and the energy-based model with each pair of widths."""
        runs = {self._baseline_run: (self.baseline, self.settings.loss.sigmas)}
        runs |= {run: ("ebm", widths) for widths, run in self._runs.items()}
        trainings = []
        for run, (system, widths) in runs.items():
            settings = copy.deepcopy(self.settings)
            settings.system, settings.loss.sigmas = system, widths  # type: ignore[assignment]
            trainings.append(Training(self.task.name, system, settings, self.folder / run))
        return trainings

    def table(self) -> Table:
        """Errors on validation images by widths, beside the paper's."""
        title, method = self.task.title.split(" (")[0], BASELINES[self.baseline]
        title = f"{title}, validation: mean absolute error of {method} after refinement"
        table = Table(title, ["here", "paper"], [("", 2)])
        options = RegressionEvaluationOptions(
            RegressionRefinementSettings(self.task.step),
            True,
            "val",
            workspace=self.settings.workspace,
            device=self.settings.device,
        )
        names = (self._baseline_run, *self._runs.values())
        runs, _ = find_runs(self.task.name, [self.folder / name for name in names])
        results, _ = evaluate_runs(self.task, runs, options, by_every_ebm=True)
        found = {result.refined_by: result for result in results[self.baseline]}
        for widths, paper in PAPER_ERRORS[self.task.name].items():
            result = found[self._runs[widths]]
            error, plain = list(result.refined_errors.values())[-1], list(result.errors.values())[-1]
            table.rows.append((f"{widths[0]:g}, {widths[1]:g}", [Mean(error), Mean(paper)]))
        table.notes.append(f"Before refinement: {plain:.2f}. The paper does not say which baseline its figures are of.")
        return table
