"""The trained detectors that an evaluation compares, and its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.dataset import DetectionImages, read_coco_detection
from ltr.evaluation.detection.options import DetectionEvaluationOptions
from ltr.evaluation.detection.table import SYSTEM_NAMES
from ltr.evaluation.runs import TrainedRun, check_alike, find_runs
from ltr.models.detection import load_detector
from ltr.models.weights_file import downloaded
from ltr.train_settings.detection import DetectionDataSettings
from ltr.train_settings.detection import images as trained_images

SYSTEM_SPECIFIC = ("detector.system", "detector.refinement", "proposals", "optimizer", "schedule", "grad_clip",
                   "epochs", "samples_per_epoch", "batch_size")  # fmt: skip
"""Settings in which the trainings of different systems of a table may differ."""


@dataclass(frozen=True)
class DetectorFile:
    """The file of a trained detector, its system, and the name for its results."""

    system: str
    name: str
    file: Path


def find_detector_runs(options: DetectionEvaluationOptions, workspace: Path) -> tuple[list[TrainedRun], list[str]]:
    """Finished runs, and a sentence about each that is missing or cannot be used.

    Raises:
        UserError: if there is no finished run, or the runs cannot share a table.
    """
    wanted = options.system
    folders = options.runs or [workspace / "checkpoints" / "ltr" / "detection"]
    runs, problems = find_runs("detection", folders, wanted or "direct")
    runs = [run for run in runs if wanted in (None, run.system)]
    if not runs:
        raise UserError(
            f"no finished run {f'of {wanted} ' if wanted else ''}was found"
            + "".join(f"; {problem}" for problem in problems[:1])
            + f"; train one: ebm-train detection {wanted or 'direct'}"
        )
    check_alike(runs, SYSTEM_SPECIFIC)
    found = {run.system for run in runs} | ({"direct"} if base_detector(runs) else set())
    missing = [system for system in SYSTEM_NAMES if system not in found]
    if missing and wanted is None:
        problems.insert(0, f"No finished run of {', '.join(missing)}; train one: ebm-train detection NAME.")
    return runs, problems


def base_detector(runs: Sequence[TrainedRun]) -> DetectorFile | None:
    """The Faster-RCNN on which all the runs stand, for its row; None if a run of it is among them, or no file.

    Where the runs do not name it, it is torchvision's, which they have downloaded.
    """
    bases = {run.settings.base_weights for run in runs}
    if len(bases) != 1 or any(run.system == "direct" for run in runs):
        return None
    (given,) = bases
    if given is None and runs[0].settings.detector.base.name != "resnet50_fpn":
        return None
    file = Path(given) if given is not None else downloaded(FasterRCNN_ResNet50_FPN_Weights.COCO_V1)
    try:
        system = load_detector(file).system
    except UserError:
        return None
    return DetectorFile("direct", f"base_{file.stem}", file) if system == "direct" else None


def named_detectors(options: DetectionEvaluationOptions) -> list[DetectorFile]:
    """The files of --checkpoint. Each is loaded now, so that a wrong file fails before hours are spent on others.

    Raises:
        UserError: if a file holds no detector, or one of another system.
    """
    found = []
    for file in options.checkpoint:
        system = load_detector(file).system
        if options.system not in (None, system):
            raise UserError(f"{file} is a detector of system {system}, not of {options.system}")
        found.append(DetectorFile(system, f"{file.absolute().parent.name}_{file.stem}", file))
    return found


def read_images(options: DetectionEvaluationOptions, runs: Sequence[TrainedRun]) -> DetectionImages:
    """The images to evaluate on: those of --root, or the data that the runs were trained on.

    The year of COCO is --year, or the one of the runs' settings: most of val2014 is in train2017.

    Raises:
        UserError: if they cannot be read.
    """
    if options.root is None and runs and runs[0].settings.data.set == "generated":
        return trained_images(replace(runs[0].settings, workspace=options.workspace), options.split)
    year = options.year or (runs[0].settings.data.year if runs else DetectionDataSettings.year)
    return read_coco_detection(get_path("coco", options.root), options.split, year)
