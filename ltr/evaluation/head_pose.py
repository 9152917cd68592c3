"""Table S6 (which contains Table 5): head pose. The paper's figures are for BIWI."""

from __future__ import annotations

from ltr.evaluation import regression
from ltr.evaluation.regression import RegressionTask
from ltr.evaluation.tables import Mean

_COLUMNS = ("yaw", "pitch", "roll", "avg")
_PAPER = {
    "Direct - Huber": ((2.78, 0.09), (3.73, 0.13), (2.90, 0.09), (3.14, 0.07)),
    "Direct - Huber+": ((2.75, 0.08), (3.70, 0.11), (2.87, 0.09), (3.11, 0.06)),
    "Direct - L2": ((2.81, 0.08), (3.60, 0.14), (2.85, 0.08), (3.09, 0.07)),
    "Direct - L2+": ((2.78, 0.08), (3.62, 0.13), (2.81, 0.08), (3.07, 0.07)),
    "Gaussian": ((2.89, 0.09), (3.64, 0.13), (2.83, 0.09), (3.12, 0.08)),
    "Gaussian+": ((2.84, 0.08), (3.67, 0.12), (2.81, 0.08), (3.11, 0.07)),
    "Laplace": ((2.93, 0.08), (3.80, 0.15), (2.90, 0.07), (3.21, 0.06)),
    "Laplace+": ((2.89, 0.07), (3.81, 0.13), (2.88, 0.06), (3.19, 0.06)),
    "Softmax - CE & L2": ((2.73, 0.09), (3.63, 0.13), (2.77, 0.11), (3.04, 0.08)),
    "Softmax - CE & L2+": ((2.67, 0.08), (3.61, 0.12), (2.75, 0.10), (3.01, 0.07)),
    "Softmax - CE, L2 & Var": ((2.83, 0.12), (3.79, 0.10), (2.84, 0.11), (3.15, 0.07)),
    "Softmax - CE, L2 & Var+": ((2.76, 0.10), (3.74, 0.09), (2.83, 0.10), (3.11, 0.06)),
}
_OTHERS = {
    "Yang et al. (2018)": (4.24, 4.35, 4.19, 4.26),  # SSR-Net
    "Gu et al. (2017)": (3.91, 4.03, 3.03, 3.66),
    "Yang et al. (2019)": (2.89, 4.29, 3.60, 3.60),  # FSA-Net
}

TASK = RegressionTask(
    name="head_pose",
    title="Head pose, degrees (Table S6; the paper's on BIWI)",
    step=0.1,
    paper={
        method: {column: Mean(*pair) for column, pair in zip(_COLUMNS, figures, strict=True)}
        for method, figures in _PAPER.items()
    },
    others={method: dict(zip(_COLUMNS, map(Mean, figures), strict=True)) for method, figures in _OTHERS.items()},
)


def main(argv: list[str]) -> int:
    """The command `ebm-evaluate head_pose`; returns 0."""
    return regression.main(TASK, argv)
