"""IoU-Net*: predicted overlaps, trained on boxes of the Gaussian mixture (Appendix C.2)."""

from ltr.train_settings.detection.common import DetectionSettings, build, system

__all__ = ["build", "settings"]


def settings() -> DetectionSettings:
    return system("iou_net_star")
