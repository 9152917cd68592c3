"""The paper's energy-based model (Section 4.1, Appendix C.2)."""

from ltr.train_settings.detection.common import DetectionSettings, build, system

__all__ = ["build", "settings"]


def settings() -> DetectionSettings:
    return system("ebm")
