"""What ATOM, ATOM* and the EBM share on the shipped backbone: all but box head and refinement.

ATOM's constants are for ResNet-18 and full boxes of a head that was trained for days. The ones here are chosen for the
small backbone on development sequences, for all three trackers alike: docs/development.md has the figures, and how much
of them was chosen on the sequences that they are reported on.
"""

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
    network: str, predicts: str, refinement: TrackerRefinementSettings, density: TrackerDensitySettings | None = None
) -> AtomSettings:
    """The settings of a tracker on `efficientnet_lite0`.

    Args:
        network: file of its box head.
        predicts: 'energy' or 'iou'.
        refinement: how it climbs.
        density: how its density is looked at, where it has one.
    """
    return AtomSettings(
        network=network,
        backbone="efficientnet_lite0",
        predicts=predicts,
        classifier=ClassifierSettings(layer="classification", early_samples=20),
        localization=LocalizationSettings(motion_prior=0.3),
        lost=LostSettings(growth=1.1),
        size=SizeSettings(scale_gain=0.6, shape_gain=0.3, shape_return=0.15),
        refinement=refinement,
        density=density or TrackerDensitySettings(),
    )
