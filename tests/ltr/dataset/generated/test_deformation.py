"""Deformation: by hand, its inverse, and the boxes of deforming sprites."""

from __future__ import annotations

import dataclasses

import numpy as np

from ltr.dataset.generated.deformation import Deformation, Ripple
from ltr.dataset.generated.textures import Texture
from ltr.dataset.generated.waves import Wave
from tests.helpers.plain_scenes import (
    CIRCLE,
    assert_tight,
    plain_scene,
    plain_sprite,
    strong_deformation,
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
