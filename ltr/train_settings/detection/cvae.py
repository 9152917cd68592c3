"""Faster-RCNN with a conditional variational autoencoder for the box offsets (Appendix C.1)."""

from ltr.train_settings.detection.common import DetectionSettings, build, system

__all__ = ["build", "settings"]


def settings() -> DetectionSettings:
    return system("cvae")
