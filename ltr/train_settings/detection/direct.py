"""Faster-RCNN itself, whose boxes are regressed directly (Appendix C.1): the base of all other systems."""

from ltr.train_settings.detection.common import DetectionSettings, build, system

__all__ = ["build", "settings"]


def settings() -> DetectionSettings:
    return system("direct")
