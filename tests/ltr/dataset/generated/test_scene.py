"""The boxes of rendered scenes against the pixels that are rendered, and against closed forms; camera and noise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltr.dataset.generated import BENCHMARK_SEQUENCES, Generated, SyntheticScene, benchmark_scene
from ltr.dataset.generated.waves import Wave
from tests.helpers.plain_scenes import (
    CIRCLE,
    assert_tight,
    corners,
    only_target,
    pixel_box,
    plain_scene,
    plain_sprite,
)


@pytest.mark.parametrize("name", BENCHMARK_SEQUENCES)
def test_benchmark_boxes_fit_the_pixels(name):
    assert_tight(benchmark_scene(name), range(0, 60, 2))


def test_training_boxes_fit_the_pixels_also_at_the_border():
    data, errors, clipped = Generated(60, length=40), [], 0
    for index in range(len(data)):
        scene = data.scene(index)
        bare, boxes, visible = only_target(scene), scene.boxes(), scene.visible()
        for frame in range(0, 40, 5):
            if visible[frame]:
                errors.append(corners(pixel_box(bare.render(frame))) - corners(boxes[frame]))
                clipped += not np.allclose(boxes[frame], _unclipped(scene, frame))
    assert np.abs(np.mean(errors, axis=0)).max() < 0.1
    # the tip of a thin or cut-off shape covers less than half a pixel for longer than a round one's
    assert np.abs(errors).max() < 1.5
    assert clipped > 5


def _unclipped(scene: SyntheticScene, frame: int) -> np.ndarray:
    low, high = scene.vertices(frame).min(0), scene.vertices(frame).max(0)
    return np.concatenate([low, high - low])


def test_box_of_a_rectangle_of_whole_pixels():
    outline = [(-10, -5), (10, -5), (10, 5), (-10, 5)]
    scene = plain_scene(plain_sprite(outline))
    np.testing.assert_allclose(scene.boxes()[0], [40, 35, 20, 10])
    np.testing.assert_array_equal(pixel_box(scene.render(0)), [40, 35, 20, 10])


@given(
    angle=st.floats(-180, 180), scale=st.floats(-0.5, 0.5), aspect=st.floats(-1, 1), tilt=st.floats(0, 180),
    x=st.floats(45, 55), y=st.floats(35, 45),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_box_of_a_transformed_circle_in_closed_form(angle, scale, aspect, tilt, x, y):
    radius = 12.0
    sprite = plain_sprite(
        radius * CIRCLE, Wave(x), Wave(y), angle=Wave(angle), log_scale=Wave(scale), log_aspect=Wave(aspect), tilt=tilt
    )
    # an ellipse with half axes a, b at an angle reaches sqrt(a^2 cos^2 + b^2 sin^2) to the right
    a, b = radius * np.exp(scale + aspect / 2), radius * np.exp(scale - aspect / 2)
    axis = np.deg2rad(angle + tilt)
    half = np.sqrt(
        [(a * np.cos(axis)) ** 2 + (b * np.sin(axis)) ** 2, (a * np.sin(axis)) ** 2 + (b * np.cos(axis)) ** 2]
    )
    expected = np.concatenate([(x, y) - half, 2 * half])
    np.testing.assert_allclose(plain_scene(sprite).boxes()[0], expected, atol=0.02)


def test_shake_moves_image_and_box_alike():
    still = plain_scene(plain_sprite(12 * CIRCLE))
    shaken = dataclasses.replace(still, shake_x=Wave(7.0), shake_y=Wave(-3.0))
    np.testing.assert_allclose(shaken.boxes() - still.boxes(), np.tile([7, -3, 0, 0], (10, 1)), atol=1e-9)
    np.testing.assert_array_equal(shaken.render(0)[:-3, 7:], still.render(0)[3:, :-7])


def test_motion_blur_is_centred_on_the_box():
    sharp = plain_scene(plain_sprite(12 * CIRCLE, Wave(10.0, slope=16.0)), size=(160, 80))
    blurred = dataclasses.replace(sharp, shutter=0.8).render(4)[..., 0].astype(float)
    sharp = sharp.render(4)[..., 0].astype(float)
    columns = np.arange(160) + 0.5
    np.testing.assert_allclose((blurred * columns).sum() / blurred.sum(), 10 + 4 * 16, atol=0.1)
    np.testing.assert_allclose(blurred.sum(), sharp.sum(), rtol=0.01)
    spread = (blurred > 0).any(0).sum() - (sharp > 0).any(0).sum()
    assert 11 <= spread <= 14  # 0.8 * 16 = 12.8 pixels


def test_room_keeps_the_outline_inside_at_every_size():
    room = (2.0, 3.0, 98.0, 77.0)
    sprite = plain_sprite(
        12 * CIRCLE + (4, 0), Wave(0, 0, (1.0,), (7.0,), (0.25,)), Wave(0, 0, (1.0,), (5.0,), (0.75,)),
        room=room, log_scale=Wave(0, 0, (0.6,), (9.0,), (0.0,)), angle=Wave(0, 11.0),
    )  # fmt: skip
    vertices = sprite.vertices(np.linspace(0, 40, 400))
    assert (vertices >= np.array(room[:2]) - 1e-9).all() and (vertices <= np.array(room[2:]) + 1e-9).all()
    assert vertices[..., 0].min() < 2.5 and vertices[..., 0].max() > 97.5  # and it uses the room


def test_poses_of_many_times_are_those_of_each():
    scene = benchmark_scene("rotation")
    times = np.array([0.0, 3.25, 17.5])
    together = scene.vertices(times)
    for time, vertices in zip(times, together, strict=True):
        np.testing.assert_allclose(scene.vertices(time), vertices)


def test_cover_hides_but_does_not_change_the_box():
    target = plain_sprite(10 * CIRCLE)
    cover = plain_sprite(12 * CIRCLE, Wave(0.0, slope=10.0))  # over the target at frame 5
    covered = plain_scene(target, cover)
    np.testing.assert_array_equal(covered.boxes(), plain_scene(target).boxes())
    visible = covered.visible()
    assert not visible[5] and visible[[0, 1, 2, 8, 9]].all()
    behind = plain_scene(cover, target, target=1)
    assert behind.visible().all()


def test_target_leaving_the_image_is_clipped_and_then_invisible():
    scene = plain_scene(plain_sprite(10 * CIRCLE, Wave(84.0, slope=4.0)))
    boxes, visible = scene.boxes(), scene.visible()
    np.testing.assert_allclose(boxes[4], [90, 30, 10, 20], atol=1e-2)  # at frame 4 half of it is outside
    assert visible[:5].all() and not visible[6:].any()  # at frame 6 there are 14% of it
    assert boxes[6, 2] > 0
    np.testing.assert_array_equal(boxes[7:], 0)


def test_camera_never_looks_beyond_the_photograph():
    for index in range(30):
        scene = Generated(30, length=30).scene(index)
        for time in np.linspace(0, 29, 13):
            view = scene.view(time)
            inverse = np.linalg.inv(np.vstack([view, [0, 0, 1]]))
            for corner in ((0, 0, 1), (*scene.size, 1)):
                place = (inverse @ corner)[:2]
                assert (place > -1e-6).all() and (place < np.array(scene.background.size) + 1e-6).all()


def test_grey_scene_has_equal_channels_and_noise_the_asked_strength():
    scene = dataclasses.replace(benchmark_scene("clutter"), length=2)
    clean = dataclasses.replace(scene, noise=0.0).render(0).astype(float)
    image = scene.render(0)
    assert (image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all()
    assert np.std(image - clean) == pytest.approx(scene.noise, rel=0.1)
    assert (scene.render(1) != image).any()


def test_noise_covers_images_larger_than_its_tile():
    scene = plain_scene(plain_sprite(12 * CIRCLE), size=(700, 600), noise=3.0)
    assert scene.render(0).shape == (600, 700, 3)
