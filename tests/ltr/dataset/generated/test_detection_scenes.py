"""Generated images for detection: their boxes against their pixels, and what they show."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from ltr.dataset.generated import detection_scenes
from ltr.dataset.generated.detection_scenes import BACKGROUNDS, CATEGORIES, DetectionScene, draw_scene
from ltr.dataset.generated.light import Light
from ltr.dataset.generated.textures import Texture
from ltr.dataset.generated.waves import Wave

BLACK, WHITE = (Texture(np.full((64, 64, 3), value, np.uint8)) for value in (0, 255))


@pytest.fixture(scope="module")
def pictures() -> list[DetectionScene]:
    return [draw_scene(split, index) for split in ("train", "val") for index in range(60)]


def silhouette(drawn: DetectionScene, number: int, covered: bool) -> np.ndarray:
    """The opacity of a sprite in the image, by the renderer: white on black, with or without what lies over it."""
    scene = drawn.scene
    above = [dataclasses.replace(sprite, texture=BLACK) for sprite in scene.sprites[number + 1 :]] if covered else []
    white = dataclasses.replace(scene.sprites[number], texture=WHITE)
    bare = dataclasses.replace(
        scene, background=BLACK, sprites=(white, *above), defocus=Wave(), light=Light(), noise=0.0, grey=False
    )
    return bare.render(0)[..., 0] / 255


def test_boxes_fit_the_pixels(pictures):
    errors = []
    for drawn in pictures[::3]:
        for (number, _), (x, y, w, h) in zip(drawn.objects, drawn.boxes(), strict=True):
            # the opacity of the outermost row or column that shows anything may be small: a tip is thin
            rows, columns = np.nonzero(silhouette(drawn, number, covered=False) > 0.02)
            pixels = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            errors.append(np.array(pixels) - (x, y, x + w, y + h))
    errors = np.stack(errors)
    assert len(errors) > 120 and np.abs(errors).max() < 1.5
    # whole pixels around the box: half a pixel too much on every side, less at tips
    np.testing.assert_allclose(errors.mean(0), [-0.3, -0.3, 0.3, 0.3], atol=0.25)


def test_every_object_can_be_seen(pictures):
    shares = []
    for drawn in pictures[::3]:
        for number, _ in drawn.objects:
            outline = drawn.scene.vertices(0, number).astype(np.float32)
            shares.append(silhouette(drawn, number, covered=True).sum() / cv2.contourArea(outline))
    assert 0.33 < min(shares) < 0.6 and max(shares) < 1.02
    assert 0.1 < np.mean(np.array(shares) < 0.85) < 0.4  # a good part is hidden in part


def test_sizes_shapes_and_numbers_of_objects(pictures):
    boxes = np.concatenate([drawn.boxes() for drawn in pictures])
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    assert (low >= 0).all() and (high <= [320, 240]).all()
    assert boxes[:, 2:].min() >= 12 and 24 <= boxes[:, 2:].max(1).min() and boxes[:, 2:].max() <= 180
    ratio = boxes[:, 2] / boxes[:, 3]
    assert 1 / 3 - 1e-9 < ratio.min() < 0.5 and 2 < ratio.max() < 3 + 1e-9
    area = boxes[:, 2:].prod(1)
    small, large = (area < 32**2).mean(), (area > 96**2).mean()
    assert small > 0.15 and large > 0.1 and small + large < 0.6  # as COCO divides them
    touching = ((low == 0) | (high == [320, 240])).any(1)
    assert 0.05 < touching.mean() < 0.25
    labels = np.bincount([label for drawn in pictures for _, label in drawn.objects], minlength=6)
    assert labels[0] == 0 and labels[1:].min() > 0.7 * labels[1:].mean()
    assert {len(drawn.objects) for drawn in pictures} == {1, 2, 3, 4, 5, 6}


def test_an_image_is_fixed_by_seed_split_and_number():
    first = draw_scene("train", 5)
    np.testing.assert_array_equal(first.image(), draw_scene("train", 5).image())
    np.testing.assert_array_equal(first.boxes(), draw_scene("train", 5).boxes())
    for other in (draw_scene("train", 6), draw_scene("val", 5), draw_scene("train", 5, seed=1)):
        assert (other.image() != first.image()).any()


def test_training_and_validation_share_no_background():
    textures = {category.photo for category in CATEGORIES}
    assert len(textures) == len(CATEGORIES) and BACKGROUNDS["train"] and BACKGROUNDS["val"]
    assert not set(BACKGROUNDS["train"]) & set(BACKGROUNDS["val"]) and not textures & set(sum(BACKGROUNDS.values(), ()))


def test_training_and_validation_show_other_parts_of_the_textures(monkeypatch):
    """With textures that are dark where training looks and bright elsewhere."""
    real = detection_scenes.photo_texture
    painted = np.full((512, 512, 3), 10, np.uint8)
    painted[:, int(0.55 * 512) :] = 100
    textures = {category.photo: Texture(painted) for category in CATEGORIES}
    monkeypatch.setattr(detection_scenes, "photo_texture", lambda photo: textures.get(photo) or real(photo))
    for split in ("train", "val"):
        for index in range(20):
            drawn = draw_scene(split, index)
            for number, _ in drawn.objects:
                part = drawn.scene.sprites[number].texture.image
                assert part.max() < 40 if split == "train" else part.mean() > 40
