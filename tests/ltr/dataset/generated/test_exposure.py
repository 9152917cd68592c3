"""The fast rendering of a part of a frame, against the plain rendering of the whole."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from ltr.data.sampling import BoxPairs, CropSettings
from ltr.dataset.generated import Generated, SyntheticScene
from ltr.dataset.generated.exposure import render_part
from ltr.dataset.generated.textures import Texture
from ltr.dataset.generated.waves import Wave
from tests.helpers.plain_scenes import CIRCLE, plain_scene, plain_sprite, strong_deformation


def whole(scene: SyntheticScene, frame: int) -> np.ndarray:
    return render_part(scene, frame, (0, 0, *scene.size)).astype(float)


def scenes(blurred: bool) -> list[SyntheticScene]:
    data = Generated(60)
    found = [scene for scene in map(data.scene, range(60)) if (scene.shutter > 0) == blurred]
    return found[:12]


def test_without_motion_blur_nothing_is_lost():
    for scene in scenes(blurred=False):
        np.testing.assert_array_equal(whole(scene, 7), scene.render(7))


def test_motion_blur_by_layers_looks_as_that_of_whole_images():
    differences = []
    for scene in scenes(blurred=True):
        for frame in (3, 30):
            differences.append(np.abs(whole(scene, frame) - scene.render(frame)))
    assert np.mean(differences) < 0.4
    assert np.mean(np.array(differences) > 10) < 0.003
    lost = [
        np.abs(dataclasses.replace(scene, shutter=0.0).render(3).astype(float) - scene.render(3))
        for scene in scenes(blurred=True)
    ]
    assert np.mean(differences) < 0.4 * np.mean(lost)  # by no motion blur at all


@pytest.mark.parametrize("blurred", [False, True])
def test_a_part_shows_what_the_whole_does(blurred):
    random = np.random.default_rng(0)
    for scene in scenes(blurred):
        left, top = random.integers(0, 200), random.integers(0, 150)
        right, bottom = left + random.integers(1, 120), top + random.integers(1, 90)
        part = render_part(scene, 7, (int(left), int(top), int(right), int(bottom)))
        difference = np.abs(part - whole(scene, 7)[top:bottom, left:right])
        # OpenCV rounds the places of pixels, from the corner of what it renders on
        assert difference.max() <= 4 and difference.mean() < 0.02


def test_motion_blur_is_centred_on_the_box_and_loses_no_light():
    sharp = plain_scene(plain_sprite(12 * CIRCLE, Wave(10.0, slope=16.0)), size=(160, 80))
    blurred = whole(dataclasses.replace(sharp, shutter=0.8), 4)[..., 0]
    still = sharp.render(4)[..., 0].astype(float)
    columns = np.arange(160) + 0.5
    np.testing.assert_allclose((blurred * columns).sum() / blurred.sum(), 10 + 4 * 16, atol=0.1)
    np.testing.assert_allclose(blurred.sum(), still.sum(), rtol=0.01)
    assert 11 <= (blurred > 0).any(0).sum() - (still > 0).any(0).sum() <= 15  # 0.8 * 16 = 12.8 pixels


def test_what_turns_and_bends_fast_is_blurred_by_it():
    noise = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    texture = Texture(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.5), None, 0, 255, cv2.NORM_MINMAX))
    for changes in ({"angle": Wave(0.0, 20.0)}, {"deformation": strong_deformation()}, {"log_scale": Wave(0.0, 0.1)}):
        sprite = dataclasses.replace(plain_sprite(20 * CIRCLE, **changes), texture=texture)
        scene = dataclasses.replace(plain_scene(sprite), shutter=0.9)
        plain = scene.render(4).astype(float)
        lost = np.abs(dataclasses.replace(scene, shutter=0.0).render(4) - plain).mean()
        # what turns in place is interpolated once more, and a little softer
        assert np.abs(whole(scene, 4) - plain).mean() < 0.6 * lost


def test_what_is_outside_of_a_part_is_black_and_the_nearest_pixels_are_in_it():
    data = Generated(3)
    image, part = data.frames(1, [5])[0], data.frames(1, [5], parts=[(100, -50, 140, 60)])[0]
    assert np.abs(part[:60, 100:140].astype(float) - image[:60, 100:140]).mean() < 0.02
    assert part.shape == image.shape and not part[60:].any() and not part[:, :100].any() and not part[:, 140:].any()
    beside = data.frames(1, [5], parts=[(400, 20, 500, 30)])[0]
    assert beside[20:30, -1].any() and not beside[:, :-1].any()


class WholeFrames(Generated):
    def frames(self, index, ids, reductions=None, parts=None):
        return super().frames(index, ids, reductions)


def test_pairs_look_at_no_pixel_that_is_not_rendered():
    crop = CropSettings(test_center_jitter=6.0, test_scale_jitter=0.8, stretch=0.4, flip=0.5, blur=0.3)
    parts, wholes = (BoxPairs([make(30)], [1.0], 10**6, crop=crop) for make in (Generated, WholeFrames))
    for k in range(60):
        for which in ("reference", "test"):
            difference = (parts[k][f"{which}_image"].float() - wholes[k][f"{which}_image"].float()).abs()
            assert difference.mean() < 0.05 and difference.max() <= 8
