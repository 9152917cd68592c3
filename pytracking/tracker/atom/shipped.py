"""The settings that ATOM, ATOM* and the EBM share on the shipped backbone: all but box head and refinement.

ATOM's constants are for ResNet-18 and a head that was trained for days. These are chosen for the small backbone on
development sequences, for all three trackers alike. docs/development.md has the figures, and says which constants were
chosen on the sequences of its tables.
"""

from typing import Literal

from pytracking.tracker.atom.settings import (
    AtomSettings,
    ClassifierSettings,
    LocalizationSettings,
    LostSettings,
    SizeSettings,
    TrackerDensitySettings,
    TrackerRefinementSettings,
)


def on_shipped_backbone(
    network: str,
    predicts: Literal["energy", "iou"],
    refinement: TrackerRefinementSettings,
    density: TrackerDensitySettings | None = None,
) -> AtomSettings:
    """The settings of a tracker on `efficientnet_lite0`.

    Args:
        network: file of its box head.
        predicts: 'energy' or 'iou'.
        refinement: of its boxes.
        density: how its density is computed, if it has one.
    """
    return AtomSettings(
        network=network,
        backbone="efficientnet_lite0",
        predicts=predicts,
        classifier=ClassifierSettings(layer="classification", early_samples=20),
        localization=LocalizationSettings(motion_prior=0.3),
        lost=LostSettings(growth=1.1, sweep=True),
        size=SizeSettings(scale_gain=0.6, shape_gain=0.3, shape_return=0.15),
        refinement=refinement,
        density=density or TrackerDensitySettings(),
    )
