"""The paper's energy-based model (Appendix E.1, E.2), which refines the baselines' predictions."""

from ltr.train_settings.age.common import AgeSettings, build, images, system

__all__ = ["build", "images", "settings"]


def settings() -> AgeSettings:
    return system("ebm")
