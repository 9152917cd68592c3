"""The ten systems of the paper's detection experiments, and the settings of a detector (Appendix C)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from ltr.common.errors import UserError
from ltr.models.detection.faster_rcnn import BaseSettings

System = Literal[
    "direct", "gaussian", "mixture2", "mixture4", "mixture8", "cvae", "laplace", "iou_net", "iou_net_star", "ebm"
]
SYSTEMS: tuple[System, ...] = get_args(System)
CONFIDENCE_SYSTEMS = ("iou_net", "iou_net_star", "ebm")
"""Systems with a confidence branch: it guides the non-maximum suppression, and gradient ascent on it refines boxes."""


@dataclass
class DetectionRefinementSettings:
    """Algorithm S1 with the constants of Appendix C.4. The defaults are those of the paper's model."""

    step: tuple[float, float] = (1e-4, 4e-4)
    """lambda for position and size. `iou_net` refines in pixels, with steps relative to the box's sides."""
    decay: float = 0.5
    """eta"""
    iterations: int = 10
    """T"""

    def check(self) -> None:
        """Checks the values.

        Raises:
            UserError: if a value is out of range.
        """
        if not all(0 <= step < math.inf for step in self.step):
            raise UserError(f"refinement.step must be finite and not negative, got {self.step}")
        if not 0 < self.decay <= 1:
            raise UserError(f"refinement.decay must be in (0, 1], got {self.decay}")
        if self.iterations < 0:
            raise UserError(f"refinement.iterations must not be negative, got {self.iterations}")


REFINEMENT = {
    "iou_net": DetectionRefinementSettings((0.5, 0.5), 0.1),
    "iou_net_star": DetectionRefinementSettings((0.002, 0.008), 0.2),
    "ebm": DetectionRefinementSettings(),
}
"""The paper's constants for each system with a confidence branch."""


@dataclass
class DetectorSettings:
    """The system, its Faster-RCNN and its refinement."""

    system: System = "ebm"
    base: BaseSettings = field(default_factory=BaseSettings)
    refinement: DetectionRefinementSettings = field(default_factory=DetectionRefinementSettings)
    """For systems with a confidence branch."""
