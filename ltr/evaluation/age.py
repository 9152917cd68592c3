"""Table S4 (which contains Table 4): age on UTKFace."""

from __future__ import annotations

from ltr.common.environment import get_path
from ltr.dataset import LabelledImages, read_utkface_split
from ltr.evaluation import regression
from ltr.evaluation.regression import RegressionTask
from ltr.evaluation.tables import Mean
from ltr.train_settings.age import AgeSettings

_PAPER = {
    "Direct - Huber": (4.80, 0.06),
    "Direct - Huber+": (4.74, 0.06),
    "Direct - L2": (4.81, 0.02),
    "Direct - L2+": (4.65, 0.02),
    "Gaussian": (4.79, 0.06),
    "Gaussian+": (4.66, 0.04),
    "Laplace": (4.85, 0.04),
    "Laplace+": (4.81, 0.04),
    "Softmax - CE & L2": (4.78, 0.05),
    "Softmax - CE & L2+": (4.65, 0.04),
    "Softmax - CE, L2 & Var": (4.81, 0.03),
    "Softmax - CE, L2 & Var+": (4.69, 0.03),
}
_OTHERS = {"Niu et al. (2016)": (5.74, 0.05), "Cao et al. (2019)": (5.47, 0.01)}


def _duplicates(settings: AgeSettings, images: LabelledImages) -> tuple[str, list[int]]:
    """The test images that also occur, byte by byte, among the images for training and validation."""
    trainval = read_utkface_split(get_path("utkface"), "trainval", settings.data.val_seed)
    found = images.duplicates_of(trainval)
    return f" without {len(found)} duplicates", found


TASK = RegressionTask(
    name="age",
    title="Age on UTKFace (Table S4)",
    step=3.0,
    paper={method: {"age": Mean(*figures)} for method, figures in _PAPER.items()},
    others={method: {"age": Mean(*figures)} for method, figures in _OTHERS.items()},
    excluded=_duplicates,
)


def main(argv: list[str]) -> int:
    """The command `ebm-evaluate age`; returns 0."""
    return regression.main(TASK, argv)
