"""Illumination."""

from __future__ import annotations

import numpy as np

from ltr.dataset.generated.light import Light
from ltr.dataset.generated.waves import Wave


def test_light_scales_the_image_and_shadow_darkens_one_side():
    image = np.full((60, 80, 3), 100, np.uint8)
    np.testing.assert_array_equal(Light(Wave(1.0), tint=(1.0, 0.5, 0.25)).apply(image, 0)[0, 0], [200, 100, 50])
    shaded = Light(shadow_depth=0.5).apply(image, 0)
    assert (shaded[:, 0] > 95).all() and (shaded[:, -1] < 55).all()
    assert Light(Wave(3.0)).apply(image, 0).min() == 255  # saturates and does not wrap around
