"""Scenes of recipes: deforming targets, close distractors, objects in front."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ltr.dataset.generated import Cutout, Recipe, build_scene
from ltr.dataset.generated.geometry import fill


def test_deforming_target_changes_its_shape_and_its_frames_depend_on_the_seed_only():
    target = Cutout("astronaut", 226, 100, 72, 88, flex=0.4, flex_period=20)
    recipe = Recipe("brick", target, scale=0, aspect=0, sway=0, roam=0)

    def scene():
        return build_scene(recipe, np.random.RandomState(5), (320, 240), 40)

    ratio = scene().boxes()[:, 2] / scene().boxes()[:, 3]
    assert ratio.max() > 1.1 * ratio.min()
    rigid = replace(recipe, target=replace(target, flex=0.0))
    rigid = build_scene(rigid, np.random.RandomState(5), (320, 240), 40)
    assert np.ptp(rigid.boxes()[:, 2:], axis=0).max() < 1e-9
    np.testing.assert_array_equal(scene().render(7), scene().render(7))


def test_close_distractors_stay_next_to_the_target_and_behind_it():
    target = Cutout("astronaut", 226, 100, 72, 88)
    recipe = Recipe("brick", target, extent=40, scale=0, distractors=(target, target), closeness=1.0, roam=0.9)
    frames = np.arange(60)
    overlaps = []
    for seed in range(5):
        scene = build_scene(recipe, np.random.RandomState(seed), (320, 240), 60)
        assert scene.target == 2 and len(scene.sprites) == 3
        centre = scene.vertices(frames).mean(1)
        for index in (0, 1):
            apart = np.abs(scene.vertices(frames, index).mean(1) - centre)
            assert apart.max() < 1.3 * recipe.extent
            overlaps.append((apart.max(1) < 0.8 * recipe.extent).mean())
    assert np.mean(overlaps) > 0.3


def test_what_stands_in_the_way_hides_a_part_of_the_target():
    target, saucer = Cutout("astronaut", 226, 100, 72, 88), Cutout("coffee", 278, 212, 196, 172)
    recipe = Recipe("brick", target, extent=40, scale=0, standing=(saucer,), standing_extent=0.8)
    for seed in range(5):
        scene = build_scene(recipe, np.random.RandomState(seed), (320, 240), 60)
        place = scene.sprites[1].vertices(np.arange(60)).mean(1)
        assert np.ptp(place, axis=0).max() < 0.2 * recipe.extent
        covered = []
        for outline, cover in zip(*(scene.vertices(np.arange(60), index) for index in (0, 1)), strict=True):
            mask = np.zeros((240, 320), np.uint8)
            fill(mask, outline, 1)
            whole = mask.sum()
            fill(mask, cover, 0)
            covered.append(1 - mask.sum() / whole)
        assert 0.05 < max(covered)
        assert np.mean(np.array(covered) < 0.75) > 0.8
