"""The description of a regression task, and the baselines of all such tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ltr.dataset import LabelledImages
from ltr.evaluation.tables import Mean

BASELINES = {
    "direct_huber": "Direct - Huber",
    "direct_l2": "Direct - L2",
    "gaussian": "Gaussian",
    "laplace": "Laplace",
    "softmax_ce_l2": "Softmax - CE & L2",
    "softmax_ce_l2_var": "Softmax - CE, L2 & Var",
}
"""The paper's names of the baselines, in its order."""


@dataclass(frozen=True)
class RegressionTask:
    """A regression task of the paper.

    Attributes:
        name: module of ltr.train_settings, such as 'age'.
        title: of the table.
        step: the paper's lambda.
        paper: the paper's figures by method and column; a method is a baseline's name, with '+' if it is refined.
        others: the figures of methods by others, which the paper's table lists first, by method and column.
        excluded: given settings and test images, the name of a second column and the images that it excludes.
    """

    name: str
    title: str
    step: float
    paper: Mapping[str, Mapping[str, Mean]]
    others: Mapping[str, Mapping[str, Mean]]
    excluded: Callable[[Any, LabelledImages], tuple[str, list[int]]] | None = None
