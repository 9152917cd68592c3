"""Baseline 'Softmax - CE, L2 & Var' (Appendix E.4, Table S4)."""

from ltr.train_settings.age.common import AgeSettings, build, images, system

__all__ = ["build", "images", "settings"]


def settings() -> AgeSettings:
    return system("softmax_ce_l2_var")
