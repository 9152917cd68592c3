"""Plain scenes in black and white, and the box of their pixels."""

from __future__ import annotations

import dataclasses

import numpy as np

from ltr.dataset.generated import SyntheticScene
from ltr.dataset.generated.deformation import Deformation, Ripple
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


def strong_deformation(radius: float = 20.0, axis: float = 30.0) -> Deformation:
    return Deformation(
        radius,
        axis,
        bend=(Ripple(0.5, Wave(0.1, 0, (0.3,), (20.0,), (0.2,)), 0.4), Ripple(1.2, Wave(0.15), 1.3, drift=0.11)),
        swell=(Ripple(0.7, Wave(0, 0, (0.3,), (13.0,), (0.6,)), 0.9),),
        stretch=(Ripple(0.6, Wave(0, 0, (0.2,), (17.0,), (0.1,)), 0.3),),
    )
