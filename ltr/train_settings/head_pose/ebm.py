"""The paper's energy-based model (Appendix F.1, F.2), which refines the baselines' predictions."""

from ltr.train_settings.head_pose.common import HeadPoseSettings, build, images, system

__all__ = ["build", "images", "settings"]


def settings() -> HeadPoseSettings:
    return system("ebm")
