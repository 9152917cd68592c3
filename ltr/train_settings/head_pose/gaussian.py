"""Baseline 'Gaussian' (Appendix F.4, Table S6)."""

from ltr.train_settings.head_pose.common import HeadPoseSettings, build, images, system

__all__ = ["build", "images", "settings"]


def settings() -> HeadPoseSettings:
    return system("gaussian")
