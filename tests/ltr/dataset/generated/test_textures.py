"""Textures: exact warps, and reduction without aliasing."""

from __future__ import annotations

import numpy as np
import pytest

from ltr.dataset.generated.textures import Texture


def test_warp_by_the_identity_and_by_whole_pixels_is_exact():
    image = np.random.RandomState(0).randint(0, 256, (50, 70, 3)).astype(np.uint8)
    identity = np.eye(2, 3)
    np.testing.assert_array_equal(Texture(image).warp(identity, (70, 50))[..., :3], image)
    moved = Texture(image).warp(identity + [[0, 0, 3], [0, 0, -2]], (70, 50))
    np.testing.assert_array_equal(moved[:-2, 3:, :3], image[2:, :-3])


@pytest.mark.parametrize("factor", [0.5, 0.3, 0.2, 0.125])
def test_reduced_texture_keeps_place_and_does_not_alias(factor):
    stripes = np.zeros((160, 240, 3), np.uint8)
    stripes[:, ::2] = 255
    stripes[:, 120:] //= 2
    size = (int(240 * factor), int(160 * factor))
    reduced = Texture(stripes).warp(factor * np.eye(2, 3), size)[..., 0].astype(float)
    middle = size[0] // 2
    assert np.ptp(reduced[:, : middle - 2]) < 40  # stripes narrower than a pixel become grey
    np.testing.assert_allclose(reduced[:, : middle - 2].mean(), 127, atol=4)
    np.testing.assert_allclose(reduced[:, middle + 2 :].mean(), 63, atol=4)
