"""Options of `ebm-evaluate detection`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from ltr.common.device import DeviceChoice, choose_device
from ltr.common.errors import UserError
from ltr.evaluation.detection.coco_metrics import MAX_DETECTIONS
from ltr.evaluation.detection.table import SYSTEM_NAMES


@dataclass
class DetectionEvaluationOptions:
    """Evaluates trained detectors on images in COCO's layout, for example: ebm-evaluate detection ebm --limit 500"""

    system: tyro.conf.Positional[str | None] = None
    """One of the paper's systems, such as ebm, whose row goes into the table that is there; default: all that have a
    finished run, in a new table."""
    checkpoint: tuple[Path, ...] = ()
    """Files of trained detectors; they replace the runs of the workspace."""
    runs: tuple[Path, ...] = ()
    """Runs, or folders of runs; default: all runs of detection in the workspace."""
    root: Path | None = None
    """Folder of data in COCO's layout; default: the generated set for runs trained on it, otherwise the path 'coco' of
    the environment."""
    split: Literal["val", "train"] = "val"
    """Images to evaluate on."""
    year: Literal[2014, 2017] | None = None
    """Year of COCO's annotations; default: that of the runs' training, 2017 for --checkpoint."""
    limit: int | None = None
    """Evaluate on the first LIMIT images only."""
    max_detections: int = MAX_DETECTIONS
    """Detections of an image that count, those with the highest scores; more than COCO's 100 for crowded images."""
    unrefined: bool = False
    """Add a row without refinement for each system that refines."""
    step: tuple[float, float] | None = None
    """Step-lengths of the refinement for position and size; default: what ebm-search-steps has chosen for the detector,
    otherwise its own."""
    decay: float | None = None
    """Factor of the step-length after a step that was too long; default: as for --step."""
    iterations: int | None = None
    """Number of steps of the refinement; default: as for --step."""
    restart: bool = False
    """Discard earlier detections and detect again."""
    out: Path | None = None
    """Folder for table, detections and contact sheets; default: a folder in the workspace."""
    workspace: Path | None = None
    """Root of runs and results."""
    device: DeviceChoice = "auto"
    """auto: cuda if there is one."""

    def check(self) -> None:
        """Checks the options before data is read.

        Raises:
            UserError: if an option is out of range, or two options exclude each other.
        """
        if self.system is not None and self.system not in SYSTEM_NAMES:
            raise UserError(f"there is no system {self.system!r}; there are: {', '.join(SYSTEM_NAMES)}")
        if self.checkpoint and self.runs:
            raise UserError("--checkpoint and --runs both name the detectors to evaluate; give one of them")
        for name in ("limit", "iterations"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"--{name} is {value}; it must be at least 1")
        if self.max_detections < 10:
            raise UserError(f"--max_detections is {self.max_detections}; it must be at least 10")
        if self.step is not None and not all(0 < step < math.inf for step in self.step):
            raise UserError(f"--step is {self.step[0]:g} {self.step[1]:g}; both must be positive and finite")
        if self.decay is not None and not 0 < self.decay < 1:
            raise UserError(f"--decay is {self.decay:g}; it must lie between 0 and 1")
        choose_device(self.device)
