"""Polygons clipped to the image."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path

from ltr.dataset.generated.geometry import clipped_box
from tests.helpers.plain_scenes import (
    CIRCLE,
    corners,
)


def test_clipping_is_of_the_shape_and_not_of_its_box():
    diamond = np.array([(0.0, -20.0), (20.0, 0.0), (0.0, 20.0), (-20.0, 0.0)])
    # in the quadrant x > 0, y > 0 what remains is a triangle
    np.testing.assert_allclose(clipped_box(diamond, (100, 80)), [0, 0, 20, 20])
    # moved left by 15, the triangle with the vertices (0, 5), (5, 0), (0, 0): its box is less than the clipped box
    np.testing.assert_allclose(clipped_box(diamond - (15, 0), (100, 80)), [0, 0, 5, 5])


def test_clipping_of_a_shape_around_the_image_and_of_one_outside():
    np.testing.assert_allclose(clipped_box(500 * CIRCLE, (100, 80)), [0, 0, 100, 80])
    np.testing.assert_array_equal(clipped_box(10 * CIRCLE - 50, (100, 80)), 0)


@given(st.integers(0, 2**31 - 1))
@settings(max_examples=60, deadline=None)
def test_clipped_box_against_brute_force(seed):
    random = np.random.RandomState(seed)
    radius = random.uniform(15, 90) * (1 + 0.4 * np.cos(3 * np.arange(399) / 399 * 2 * np.pi + random.uniform(0, 6)))
    polygon, limit = radius[:, None] * CIRCLE + random.uniform(-20, 120, 2), np.array([100.0, 80.0])
    # by brute force: fine points along the edges, and the corners of the image
    share = np.linspace(0, 1, 100)[:, None, None]
    points = ((1 - share) * polygon + share * np.roll(polygon, -1, axis=0)).reshape(-1, 2)
    corner_points = limit * [(0, 0), (0, 1), (1, 0), (1, 1)]
    points = np.concatenate([points, corner_points[Path(polygon).contains_points(corner_points)]])
    points = points[((points >= 0) & (points <= limit)).all(1)]
    box = clipped_box(polygon, (100, 80))
    if len(points):
        np.testing.assert_allclose(corners(box), np.concatenate([points.min(0), points.max(0)]), atol=0.05)
    else:
        assert box[2] * box[3] < 0.01
