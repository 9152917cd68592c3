"""The boxes of rendered scenes against the pixels that are rendered, and against closed forms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path

from ltr.dataset.generated import BENCHMARK_SEQUENCES, Generated, SyntheticScene, benchmark_scene
from ltr.dataset.generated.deformation import Deformation, Ripple
from ltr.dataset.generated.geometry import clipped_box
from ltr.dataset.generated.light import Light
from ltr.dataset.generated.sprites import Sprite
from ltr.dataset.generated.textures import Texture
from ltr.dataset.generated.waves import Wave

BLACK, WHITE = (Texture(np.full((64, 64, 3), value, np.uint8)) for value in (0, 255))
CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 400)), np.sin(np.linspace(0, 2 * np.pi, 400))], 1)[:-1]


def plain_sprite(outline, x: Wave | None = None, y: Wave | None = None, **changes) -> Sprite:
    to_texture = np.array([[1.0, 0, 32], [0, 1.0, 32]])
    return Sprite(np.asarray(outline, float), WHITE, to_texture, x or Wave(50.0), y or Wave(40.0), **changes)


def plain_scene(*sprites, size=(100, 80), length=10, target=0, **changes) -> SyntheticScene:
    zoom = Wave(np.log(4.0))
    return SyntheticScene(size, length, BLACK, zoom, Wave(), Wave(), tuple(sprites), target, **changes)


def only_target(scene: SyntheticScene) -> SyntheticScene:
    """The same scene with a white target, black around it, and a perfect camera."""
    target = dataclasses.replace(scene.sprites[scene.target], texture=WHITE)
    return dataclasses.replace(
        scene, background=BLACK, sprites=(target,), target=0, shutter=0.0, defocus=Wave(), light=Light(), noise=0.0
    )


def pixel_box(image: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(image[..., 0] > 127)
    low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()]) + 1
    return np.concatenate([low, high - low]).astype(float)


def corners(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], -1)


def assert_tight(scene: SyntheticScene, frames) -> None:
    bare, boxes = only_target(scene), scene.boxes()
    errors = np.stack([corners(pixel_box(bare.render(frame))) - corners(boxes[frame]) for frame in frames])
    assert np.abs(errors).max() < 1.0
    # a pixel more than half covered is counted, so the edge is rounded: on average nothing is gained or lost
    assert np.abs(errors.mean(0)).max() < 0.2


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


# -- deformation ---------------------------------------------------------------------------------------------------


def strong_deformation(radius: float = 20.0, axis: float = 30.0) -> Deformation:
    return Deformation(
        radius,
        axis,
        bend=(Ripple(0.5, Wave(0.1, 0, (0.3,), (20.0,), (0.2,)), 0.4), Ripple(1.2, Wave(0.15), 1.3, drift=0.11)),
        swell=(Ripple(0.7, Wave(0, 0, (0.3,), (13.0,), (0.6,)), 0.9),),
        stretch=(Ripple(0.6, Wave(0, 0, (0.2,), (17.0,), (0.1,)), 0.3),),
    )


def test_deformation_by_hand():
    # across a line at v = 1 the bend is sin(pi / 2) = 1 of its amplitude, and u doubles; then v grows by u' / 8
    deformation = Deformation(
        10.0,
        bend=(Ripple(0.5, Wave(0.25)),),
        swell=(Ripple(0.5, Wave(np.log(2.0))),),
        stretch=(Ripple(0.0, Wave(0.125), 0.5),),
    )
    np.testing.assert_allclose(
        deformation.forward(np.array([(5.0, 10.0), (5.0, 0.0)]), 3.0), [(12.5, 11.25), (5, 1.25)]
    )
    turned = dataclasses.replace(deformation, axis=90.0)
    np.testing.assert_allclose(turned.forward(np.array([(-10.0, 5.0)]), 3.0), [(-11.25, 12.5)])


def test_deformation_is_undone_exactly_and_never_folds():
    deformation = strong_deformation()
    steps = np.linspace(-30, 30, 61)
    points = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    for time in (0.0, 3.7, 12.0, 31.5):
        moved = deformation.forward(points, time)
        assert np.abs(moved - points).max() > 4
        u, v = deformation.backward(*np.linalg.solve(deformation.frame, moved.T), time)
        np.testing.assert_allclose(deformation.frame @ [u, v], points.T, atol=1e-9)
        # a small square keeps its orientation everywhere
        grid = moved.reshape(61, 61, 2)
        right, down = grid[:-1, 1:] - grid[:-1, :-1], grid[1:, :-1] - grid[:-1, :-1]
        assert (right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]).min() > 0.3


def test_no_ripples_change_nothing():
    outline = 20 * CIRCLE * (1, 0.6)
    texture = Texture(np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8))
    rigid = plain_scene(plain_sprite(outline, angle=Wave(20.0, 3.0), log_scale=Wave(0.2)))
    rigid = dataclasses.replace(rigid, sprites=(dataclasses.replace(rigid.sprites[0], texture=texture),))
    idle = dataclasses.replace(rigid.sprites[0], deformation=Deformation(20.0, 30.0))
    idle = dataclasses.replace(rigid, sprites=(idle,))
    np.testing.assert_allclose(idle.boxes(), rigid.boxes(), atol=1e-9)
    # cv2.remap and cv2.warpAffine round places differently, to a 32nd of a pixel
    difference = np.abs(idle.render(3).astype(float) - rigid.render(3))
    assert difference.mean() < 1


def test_boxes_of_a_deforming_sprite_fit_the_pixels():
    sprite = plain_sprite(
        20 * CIRCLE * (1.2, 0.8), Wave(50.0, 0.3), deformation=strong_deformation(), angle=Wave(0, 5.0)
    )
    scene = plain_scene(sprite, length=40)
    assert_tight(scene, range(40))
    rigid = plain_scene(dataclasses.replace(sprite, deformation=None), length=40)
    assert np.abs(scene.boxes() - rigid.boxes())[:, 2:].max() > 5
    times = np.array([0.0, 3.25, 17.5])
    for time, vertices in zip(times, scene.vertices(times), strict=True):
        np.testing.assert_allclose(scene.vertices(time), vertices)


def test_texture_bends_with_the_outline():
    # a disc around a place of the texture is drawn where the deformation moves that place
    for place in np.array([(-12.0, 3.0), (0.0, 0.0), (9.0, -8.0), (4.0, 12.0)]):
        rows, columns = np.mgrid[0.5:64, 0.5:64]
        image = np.zeros((64, 64, 3), np.uint8)
        image[np.hypot(columns - 32 - place[0], rows - 32 - place[1]) < 3] = 255
        sprite = plain_sprite(25 * CIRCLE, deformation=strong_deformation(), angle=Wave(25.0), log_scale=Wave(0.1))
        scene = plain_scene(dataclasses.replace(sprite, texture=Texture(image)))
        for time in (0, 6):
            drawn = scene.render(time)[..., 0].astype(float)
            rows, columns = np.mgrid[0.5:80, 0.5:100]
            centre = np.array([(drawn * columns).sum(), (drawn * rows).sum()]) / drawn.sum()
            pose = sprite.pose(time)
            expected = pose[:, :2] @ sprite.deformation.forward(place[None], time)[0] + pose[:, 2]
            assert np.abs(centre - expected).max() < 0.4
            assert np.abs(expected - (pose[:, :2] @ place + pose[:, 2])).max() > 1


def test_room_keeps_a_deforming_outline_inside():
    room = (2.0, 3.0, 98.0, 77.0)
    sprite = plain_sprite(
        12 * CIRCLE, Wave(0, 0, (1.0,), (7.0,), (0.25,)), Wave(0, 0, (1.0,), (5.0,), (0.75,)),
        room=room, angle=Wave(0, 11.0), deformation=strong_deformation(12.0),
    )  # fmt: skip
    vertices = sprite.vertices(np.linspace(0, 40, 400))
    assert (vertices >= np.array(room[:2]) - 1e-9).all() and (vertices <= np.array(room[2:]) + 1e-9).all()
    assert vertices[..., 0].min() < 2.5 and vertices[..., 0].max() > 97.5


# -- clipping ------------------------------------------------------------------------------------------------------


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


# -- image formation -----------------------------------------------------------------------------------------------


def test_warp_by_the_identity_and_by_whole_pixels_is_exact():
    image = np.random.RandomState(0).randint(0, 256, (50, 70, 3)).astype(np.uint8)
    identity = np.eye(2, 3)
    np.testing.assert_array_equal(Texture(image).warp(identity, (70, 50)), image)
    moved = Texture(image).warp(identity + [[0, 0, 3], [0, 0, -2]], (70, 50))
    np.testing.assert_array_equal(moved[:-2, 3:], image[2:, :-3])


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


def test_camera_never_looks_beyond_the_photograph():
    for index in range(30):
        scene = Generated(30, length=30).scene(index)
        for time in np.linspace(0, 29, 13):
            view = scene._view(time)
            view[:, 2] += scene._shake(time)
            inverse = np.linalg.inv(np.vstack([view, [0, 0, 1]]))
            for corner in ((0, 0, 1), (*scene.size, 1)):
                place = (inverse @ corner)[:2]
                assert (place > -1e-6).all() and (place < np.array(scene.background.size) + 1e-6).all()


def test_light_scales_the_image_and_shadow_darkens_one_side():
    image = np.full((60, 80, 3), 100, np.uint8)
    np.testing.assert_array_equal(Light(Wave(1.0), tint=(1.0, 0.5, 0.25)).apply(image, 0)[0, 0], [200, 100, 50])
    shaded = Light(shadow_depth=0.5).apply(image, 0)
    assert (shaded[:, 0] > 95).all() and (shaded[:, -1] < 55).all()
    assert Light(Wave(3.0)).apply(image, 0).min() == 255  # saturates and does not wrap around


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
