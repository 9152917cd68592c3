"""Object detection: Faster-RCNN and the box regressors that the paper compares on it (Appendix C)."""

from ltr.models.detection.detector import Detector
from ltr.models.detection.detector_file import load_detector
from ltr.models.detection.settings import (
    CONFIDENCE_SYSTEMS,
    REFINEMENT,
    SYSTEMS,
    DetectionRefinementSettings,
    DetectorSettings,
    System,
)

__all__ = [
    "CONFIDENCE_SYSTEMS",
    "REFINEMENT",
    "SYSTEMS",
    "DetectionRefinementSettings",
    "Detector",
    "DetectorSettings",
    "System",
    "load_detector",
]
