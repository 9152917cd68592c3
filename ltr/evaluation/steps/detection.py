"""The command `ebm-search-steps detection`: step-lengths and decay of each system that refines (C.4).

As in the paper, one choice serves all runs of a system.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from ltr.common.device import DeviceChoice, choose_device
from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.provenance import file_hash
from ltr.dataset import DetectionImages
from ltr.evaluation.detection.candidates import DetectorFile, find_detector_runs, named_detectors, read_images
from ltr.evaluation.detection.options import DetectionEvaluationOptions
from ltr.evaluation.detection.table import SYSTEM_NAMES
from ltr.evaluation.steps.by_workers import Workers, measure_by_workers, workers
from ltr.evaluation.steps.choice import StepChoice, keep_choice
from ltr.evaluation.steps.detections import MEAN_IOU, MakeImageMeasuring, measure_detections
from ltr.evaluation.steps.grid import StepGrid, StepSearch
from ltr.evaluation.steps.measured import measured_log, saying_how_to_continue
from ltr.evaluation.steps.output import write_search
from ltr.evaluation.steps.table import make_table
from ltr.models.detection import CONFIDENCE_SYSTEMS, DetectionRefinementSettings, load_detector
from ltr.train_settings.detection import check_labels

_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_DECAYS = (0.2, 0.5, 0.8)


@dataclass
class DetectionSearchOptions:
    """Chooses the refinement of trained detectors on validation images, for example: ebm-search-steps detection ebm"""

    system: tyro.conf.Positional[str | None] = None
    """iou_net, iou_net_star or ebm; default: all that have a finished run."""
    checkpoint: tuple[Path, ...] = ()
    """Files of trained detectors; they replace the runs of the workspace."""
    runs: tuple[Path, ...] = ()
    """Runs, or folders of runs; default: all runs of detection in the workspace."""
    position: tuple[float, ...] = ()
    """Step-lengths for the position to try; default: 1/4 to 16 times the detector's own. IoU-Net, which has one lambda,
    takes it from here."""
    size: tuple[float, ...] = ()
    """Step-lengths for the size to try; default: 1/4 to 16 times the detector's own."""
    decay: tuple[float, ...] = _DECAYS
    """Decays of the step-length to try."""
    iterations: int | None = None
    """Number of steps of the refinement; default: the detector's own."""
    root: Path | None = None
    """Folder of data in COCO's layout; default: as of ebm-evaluate detection."""
    split: Literal["val", "train"] = "val"
    """Images to choose on."""
    year: Literal[2014, 2017] | None = None
    """Year of COCO's annotations; default: as of ebm-evaluate detection."""
    limit: int = 500
    """Choose on the first LIMIT images with an object only. The paper takes all of COCO's validation."""
    out: Path | None = None
    """Folder for the tables as text, JSON and LaTeX; default: a folder in the workspace."""
    workspace: Path | None = None
    """Root of runs and results."""
    device: DeviceChoice = "auto"
    """auto: cuda if there is one."""
    jobs: int | None = None
    """Processes that measure; on a cluster, the largest number of workers."""
    cluster: str | None = None
    """Measure on a Ray cluster: auto, HOST:PORT or ray://HOST:10001. All machines see the images and the workspace."""
    gpus_per_worker: float | None = None
    """Of a GPU, where the cluster has any."""


def main(argv: list[str]) -> int:
    """The command `ebm-search-steps detection`; returns 0.

    Raises:
        UserError: if there is no detector that refines, data and options do not fit each other, or a folder cannot be
            written.
    """
    options = tyro.cli(DetectionSearchOptions, args=argv, prog="ebm-search-steps detection", use_underscores=True)
    evaluation = DetectionEvaluationOptions(
        system=options.system,
        checkpoint=options.checkpoint,
        runs=options.runs,
        root=options.root,
        split=options.split,
        year=options.year,
        limit=options.limit,
        iterations=options.iterations,
        workspace=options.workspace,
        device=options.device,
    )
    evaluation.check()
    StepGrid.of(**{name: getattr(options, name) or (1.0,) for name in ("position", "size", "decay")})
    if options.system not in (None, *CONFIDENCE_SYSTEMS):
        raise UserError(f"{options.system} does not refine; those that do are {', '.join(CONFIDENCE_SYSTEMS)}")
    workspace = get_path("workspace", options.workspace)
    runs, problems = ([], []) if options.checkpoint else find_detector_runs(evaluation, workspace)
    found = named_detectors(evaluation) or [DetectorFile(run.system, run.name, run.weights) for run in runs]
    systems = [system for system in CONFIDENCE_SYSTEMS if any(f.system == system for f in found)]
    if not systems:
        raise UserError(f"none of these detectors refines; those that do are of {', '.join(CONFIDENCE_SYSTEMS)}")
    images = read_images(evaluation, runs)
    out = options.out or workspace / "step_search" / "detection"
    for system in systems:
        files = [f for f in found if f.system == system]
        with saying_how_to_continue(), workers(options, out) as how:
            search, iterations = search_detectors(files, images, options, out / "measured", how)
        table = make_table(search, f"Refinement of {SYSTEM_NAMES[system]}")
        first = "the first " if options.limit < len(images.usable()) else ""
        where = f"{first}{min(options.limit, len(images.usable()))} images of {images.name}"
        best = search.best
        step = (best["step"],) * 2 if "step" in best else (best["position"], best["size"])
        value = float(search.values[search.best_index])
        choice = StepChoice(step, best["decay"], iterations, MEAN_IOU, value, where, file_hash(images.annotations))
        table.notes.append(
            f"On {where}; T = {iterations}; "
            + (f"{len(files)} runs of {system}: one choice for all, as in the paper." if files[1:] else files[0].name)
        )
        table.notes += problems
        kept = [keep_choice(f.file, choice) for f in files]
        write_search(search, table, out, system, kept, options, f"ebm-evaluate detection {system}")
    return 0


def search_detectors(
    files: list[DetectorFile],
    images: DetectionImages,
    options: DetectionSearchOptions,
    log_path: Path | None,
    how: Workers | None = None,
) -> tuple[StepSearch, int]:
    """The search over detectors of one system, and the number of iterations.

    Args:
        how: the workers that measure; None measures in this process.

    Raises:
        UserError: if a detector does not know a category, nothing is detected, or the log cannot be written.
    """
    device = choose_device(options.device)
    own = load_detector(files[0].file, device).refinement
    iterations = own.iterations if options.iterations is None else options.iterations
    position = options.position or [own.step[0] * factor for factor in _FACTORS]
    if files[0].system == "iou_net":
        grid = StepGrid.of(step=position, decay=options.decay)
    else:
        size = options.size or [own.step[1] * factor for factor in _FACTORS]
        grid = StepGrid.of(position=position, size=size, decay=options.decay)
    tried = [DetectionRefinementSettings((steps[0], steps[-1]), decay, iterations) for *steps, decay in grid.points()]
    parts: dict[str, np.ndarray] = {}
    before: dict[str, float] = {}
    for each in files:
        detector = load_detector(each.file, device)
        check_labels(images, detector.num_classes)
        about = {"weights": file_hash(each.file), "annotations": file_hash(images.annotations)}
        path = None if log_path is None else log_path.with_name(f"{log_path.name}_{each.name}")
        with measured_log(path, tried, about) as log:
            if how is not None:
                make = MakeImageMeasuring(each.file.absolute(), options.device, images, tried, options.limit, each.name)
                count = min(options.limit, len(images.usable()))
                measure_by_workers(make, log, count, each.name, *how)
            before[each.name], values = measure_detections(detector, images, tried, log, options.limit, each.name)
        parts[each.name] = values.reshape(grid.shape)
    return StepSearch(grid, parts, before, MEAN_IOU, higher_is_better=True), iterations
