"""Options of `ebm-evaluate age` and `ebm-evaluate head_pose`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ltr.common.device import DeviceChoice


@dataclass
class RegressionRefinementSettings:
    """Refinement by Algorithm S2 (E.3, F.3)."""

    step: float | None = None
    """lambda; default: what ebm-search-steps has chosen for the run that refines, otherwise the paper's: 3 for age, 0.1
    for head pose."""
    iterations: int = 5
    """T"""
    stop_threshold: float = 0.001
    """Omega_1"""
    degeneration_tolerance: float = -0.01
    """Omega_2"""


@dataclass
class RegressionEvaluationOptions:
    """Evaluates all finished runs of the task; prints and writes a table of their mean absolute errors."""

    refinement: RegressionRefinementSettings = field(default_factory=RegressionRefinementSettings)
    refine: bool = False
    """Also refine every baseline's predictions by the energy-based model."""
    split: Literal["test", "val"] = "test"
    """Test images, or validation images, on which step-lengths are chosen."""
    runs: tuple[Path, ...] = ()
    """Runs, or folders of runs; default: all runs of the task in the workspace."""
    out: Path | None = None
    """Folder for the table as text, JSON and LaTeX; default: a folder in the workspace."""
    workspace: Path | None = None
    """Root of runs, cached features and results."""
    device: DeviceChoice = "auto"
    """auto: cuda if there is one."""
    workers: int = 0
    """Processes that load images."""
