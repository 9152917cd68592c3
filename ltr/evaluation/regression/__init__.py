"""Evaluation of age and head pose: errors of baselines, their refinement by the energy-based model, and the tables."""

from ltr.evaluation.regression.command import main
from ltr.evaluation.regression.errors import evaluate_runs
from ltr.evaluation.regression.options import RegressionEvaluationOptions, RegressionRefinementSettings
from ltr.evaluation.regression.task import BASELINES, RegressionTask

__all__ = [
    "BASELINES",
    "RegressionEvaluationOptions",
    "RegressionRefinementSettings",
    "RegressionTask",
    "evaluate_runs",
    "main",
]
