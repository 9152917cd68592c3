"""The generated benchmark on disk and the generated training set."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

from ltr.common.errors import UserError
from ltr.common.images import ImageReadError, read_image
from ltr.dataset import generated
from ltr.dataset.base import VideoDataset
from ltr.dataset.generated import (
    BENCHMARK_SEQUENCES,
    Cutout,
    Generated,
    Recipe,
    benchmark_scene,
    build_scene,
    draw_recipe,
    write_benchmark,
)
from ltr.dataset.photographs import BENCHMARK_PHOTOGRAPHS, TRAINING_PHOTOGRAPHS
from ltr.dataset.scenes import Scene, fill

# -- what the sequences show ---------------------------------------------------------------------------------------


def test_same_seed_same_pixels_other_seed_others():
    first, again, other = benchmark_scene("scale"), benchmark_scene("scale"), benchmark_scene("scale", seed=1)
    np.testing.assert_array_equal(first.boxes(), again.boxes())
    for frame in (0, 31, 59):
        np.testing.assert_array_equal(first.render(frame), again.render(frame))
    assert not np.allclose(first.boxes(), other.boxes())
    assert (first.render(0) != other.render(0)).any()


def test_frames_do_not_depend_on_the_order_in_which_they_are_asked_for():
    scene = benchmark_scene("low_resolution")
    late = scene.render(40)
    scene.render(3)
    np.testing.assert_array_equal(scene.render(40), late)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", BENCHMARK_SEQUENCES)
def test_benchmark_targets_stay_whole_and_start_visible(name, seed):
    scene = benchmark_scene(name, seed)
    boxes = scene.boxes()
    assert boxes.shape == (60, 4) and boxes.dtype == np.float64
    assert (boxes[:, :2] > 0).all() and (boxes[:, :2] + boxes[:, 2:] < scene.size).all()
    assert boxes[:, 2:].min() >= 10 and boxes[:, 2:].max() <= 200
    visible = scene.visible()
    assert visible[:3].all() and visible.mean() > 0.75


@pytest.mark.parametrize("seed", range(3))
def test_each_sequence_stresses_what_its_name_says(seed):
    def boxes(name):
        return benchmark_scene(name, seed).boxes()

    area = boxes("scale")[:, 2:].prod(1)
    assert area.max() > 4 * area.min()
    ratio = boxes("aspect")[:, 2] / boxes("aspect")[:, 3]
    assert ratio.max() > 1.4 * ratio.min()
    assert not benchmark_scene("occlusion", seed).visible().all()
    assert boxes("low_resolution")[:, 2:].max() < 25
    centre = boxes("fast_motion")[:, :2] + boxes("fast_motion")[:, 2:] / 2
    assert np.linalg.norm(np.diff(centre, axis=0), axis=1).max() > 12
    light = [benchmark_scene("illumination", seed).render(frame).mean() for frame in range(0, 60, 6)]
    assert max(light) > 1.6 * min(light)
    detail = [cv2.Laplacian(benchmark_scene("blur", seed).render(frame), cv2.CV_32F).std() for frame in range(0, 60, 6)]
    assert max(detail) > 1.3 * min(detail)


# of version 1: what is drawn last, and the last frame's box
BENCHMARK_ENDS = {
    "scale": (622839907, (164.35, 108.07, 78.96, 71.05)),
    "aspect": (533351908, (62.3, 67.89, 103.36, 54.69)),
    "rotation": (1508713648, (131.54, 67.74, 60.73, 62.34)),
    "occlusion": (1867811813, (143.35, 108.51, 53.99, 47.66)),
    "blur": (1395661467, (157.69, 145.62, 58.53, 51.4)),
    "fast_motion": (158111330, (44.25, 129.29, 45.86, 48.7)),
    "illumination": (1160442460, (173.95, 107.27, 62.31, 63.66)),
    "low_resolution": (1486922018, (95.68, 134.16, 17.91, 18.39)),
    "clutter": (91895291, (92.09, 119.48, 43.83, 43.5)),
    "distractor": (1591084365, (106.9, 151.44, 42.18, 42.44)),
}


@pytest.mark.parametrize("name", BENCHMARK_SEQUENCES)
def test_benchmark_of_this_version_stays_as_it_is(name):
    assert generated.BENCHMARK_VERSION == 1
    scene = benchmark_scene(name)
    noise_seed, box = BENCHMARK_ENDS[name]
    assert scene.noise_seed == noise_seed
    np.testing.assert_allclose(scene.boxes()[-1], box, atol=0.01)
    assert all(sprite.deformation is None for sprite in scene.sprites)


# -- on disk -------------------------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch):
    """A benchmark of few frames, to be quick."""
    monkeypatch.setattr(generated, "BENCHMARK_LENGTH", 3)


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*") if path.is_file()}


def test_written_benchmark_is_in_otb_layout(tmp_path, short):
    folder = write_benchmark(tmp_path / "new" / "generated", seed=4)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*BENCHMARK_SEQUENCES, "generated.json"])
    scene = benchmark_scene("rotation", 4)
    sequence = folder / "rotation"
    assert sorted(path.name for path in (sequence / "img").iterdir()) == ["0001.jpg", "0002.jpg", "0003.jpg"]
    boxes = np.loadtxt(sequence / "groundtruth_rect.txt", delimiter=",")
    np.testing.assert_allclose(boxes, scene.boxes() + (1, 1, 0, 0), atol=1e-3)
    difference = read_image(sequence / "img" / "0002.jpg").astype(float) - scene.render(1)
    assert np.abs(difference).mean() < 4  # what JPEG costs, and red is not blue
    assert sequence.stat().st_mode & 0o055 == 0o055


def test_complete_benchmark_is_reused(tmp_path, short):
    write_benchmark(tmp_path)
    before = snapshot(tmp_path)
    write_benchmark(tmp_path)
    assert snapshot(tmp_path) == before


def test_interrupted_writing_leaves_nothing_half_done_and_is_resumed(tmp_path, short, monkeypatch):
    render, calls = Scene.render, []

    def interrupted(self, frame):
        calls.append(frame)
        if len(calls) == 8:  # in the third sequence
            raise KeyboardInterrupt
        return render(self, frame)

    monkeypatch.setattr(Scene, "render", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_benchmark(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(BENCHMARK_SEQUENCES[:2])
    before = snapshot(tmp_path)

    write_benchmark(tmp_path)
    after = snapshot(tmp_path)
    assert {path: after[path] for path in before} == before  # kept
    assert len(calls) == 8 + 3 * (len(BENCHMARK_SEQUENCES) - 2)
    assert (tmp_path / "generated.json").exists()


@pytest.mark.parametrize("damage", ["img/0002.jpg", "groundtruth_rect.txt", "generated.json", "empty image"])
def test_damaged_sequence_is_written_anew_and_the_others_kept(tmp_path, short, damage):
    write_benchmark(tmp_path)
    before = snapshot(tmp_path / "blur")
    if damage == "generated.json":
        # another version of ours
        (tmp_path / "scale" / damage).write_text(json.dumps({"version": 0, "seed": 0, "frames": 3}))
    elif damage == "empty image":
        (tmp_path / "scale" / "img" / "0001.jpg").write_bytes(b"")
    else:
        (tmp_path / "scale" / damage).unlink()
    write_benchmark(tmp_path)
    assert len(list((tmp_path / "scale" / "img").iterdir())) == 3
    read_image(tmp_path / "scale" / "img" / "0001.jpg")
    assert len((tmp_path / "scale" / "groundtruth_rect.txt").read_text().splitlines()) == 3
    assert snapshot(tmp_path / "blur") == before


def test_another_seed_replaces_the_benchmark(tmp_path, short):
    write_benchmark(tmp_path, seed=0)
    first = (tmp_path / "scale" / "groundtruth_rect.txt").read_text()
    write_benchmark(tmp_path, seed=1)
    assert (tmp_path / "scale" / "groundtruth_rect.txt").read_text() != first
    assert json.loads((tmp_path / "generated.json").read_text())["seed"] == 1


def test_leftovers_of_killed_runs_are_removed_but_not_work_in_progress(tmp_path, short):
    for name, age in (("old", 7200), ("new", 5)):
        (tmp_path / f".partial-{name}").mkdir()
        os.utime(tmp_path / f".partial-{name}", (time.time() - age,) * 2)
    write_benchmark(tmp_path)
    assert not (tmp_path / ".partial-old").exists() and (tmp_path / ".partial-new").exists()


def test_users_own_sequence_is_never_replaced(tmp_path, short):
    own = tmp_path / "occlusion" / "img"
    own.mkdir(parents=True)
    (own / "0001.jpg").write_bytes(b"precious")
    with pytest.raises(UserError, match="occlusion is there already.*another folder"):
        write_benchmark(tmp_path)
    assert (own / "0001.jpg").read_bytes() == b"precious"


def test_folder_that_cannot_be_written_is_named(tmp_path, short, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/generated.*another folder"):
        write_benchmark(tmp_path / "file" / "generated")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(generated.tempfile, "mkdtemp", full)
    with pytest.raises(UserError, match="No space left"):
        write_benchmark(tmp_path / "full")


# -- the training set ----------------------------------------------------------------------------------------------


def test_generated_is_a_video_dataset():
    data = Generated(5, seed=3, length=12, size=(160, 120))
    assert isinstance(data, VideoDataset) and data.name == "generated" and len(data) == 5
    info = data.sequence(2)
    assert info.is_video and info.boxes.shape == (12, 4) and info.boxes.dtype == np.float32
    assert info.visible.shape == (12,) and info.visible.dtype == bool
    frames = data.frames(2, [7, 0, 7])
    assert len(frames) == 3
    assert all(frame.shape == (120, 160, 3) and frame.dtype == np.uint8 for frame in frames)
    np.testing.assert_array_equal(frames[0], frames[2])
    assert (frames[0] != frames[1]).any()
    with pytest.raises(IndexError, match="5 sequences"):
        data.sequence(5)
    with pytest.raises(IndexError, match="5 sequences"):
        data.frames(-1, [0])
    with pytest.raises(IndexError, match="12 frames"):
        data.frames(0, [12])


def test_training_sequences_depend_on_seed_and_index_only():
    whole = Generated(40, seed=1)
    for index in range(20):
        whole.sequence(index)  # fill and overflow the cache
    frame = whole.frames(3, [5])[0]
    np.testing.assert_array_equal(Generated(4, seed=1).frames(3, [5])[0], frame)
    assert (Generated(4, seed=2).frames(3, [5])[0] != frame).any()
    assert (whole.frames(4, [5])[0] != frame).any()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(whole)).frames(3, [5])[0], frame)


def test_a_used_dataset_is_cheap_to_send_to_workers():
    data = Generated(10)
    for index in range(10):
        data.sequence(index)
    assert len(pickle.dumps(data)) < 5000


def test_training_boxes_stay_within_limits():
    data = Generated(150, seed=5, length=20)
    for index in range(len(data)):
        info = data.sequence(index)
        assert (info.boxes[:, :2] >= -1e-3).all()
        assert (info.boxes[:, :2] + info.boxes[:, 2:] <= np.array([320, 240]) + 1e-3).all()
        assert info.visible.mean() > 0.4
        assert info.boxes[info.visible, 2:].min() >= 4


def test_training_recipes_show_what_the_benchmark_lacks_often_enough():
    random = np.random.RandomState(0)
    recipes = [draw_recipe(random, TRAINING_PHOTOGRAPHS) for _ in range(400)]
    flexes = np.array([recipe.target.flex for recipe in recipes])
    assert 0.42 < (flexes > 0).mean() < 0.58
    assert flexes[flexes > 0].min() < 0.1 and flexes.max() > 0.35
    periods = [recipe.target.flex_period for recipe in recipes if recipe.target.flex]
    assert min(periods) >= 8 and max(periods) <= 60
    assert 0.38 < np.mean([bool(recipe.passers or recipe.standing) for recipe in recipes]) < 0.54
    crowded = [recipe for recipe in recipes if recipe.distractors]
    assert 0.33 < len(crowded) / len(recipes) < 0.47
    doubles = [recipe for recipe in crowded if any(_is_double(d, recipe.target) for d in recipe.distractors)]
    assert 0.3 < len(doubles) / len(crowded) < 0.65
    assert 0.45 < np.mean([recipe.closeness > 0 for recipe in crowded]) < 0.75


def _is_double(distractor, target) -> bool:
    return (distractor.photo, distractor.x, distractor.y) == (target.photo, target.x, target.y)


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


def test_training_takes_no_photograph_of_the_benchmark():
    assert set(Generated().photos) == set(TRAINING_PHOTOGRAPHS)
    photos = {recipe.background for recipe in generated._BENCHMARK.values()}
    for recipe in generated._BENCHMARK.values():
        photos |= {cutout.photo for cutout in (recipe.target, *recipe.distractors, *recipe.passers)}
    assert photos == set(BENCHMARK_PHOTOGRAPHS)


def test_training_on_the_users_photographs(tmp_path):
    random = np.random.RandomState(0)
    for number, size in enumerate([(90, 60), (300, 500), (64, 400)]):
        coarse = random.randint(0, 256, (6, 6, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), cv2.resize(coarse, size[::-1]))
    data = Generated(12, length=6, photos=tmp_path)
    for index in range(len(data)):
        assert data.sequence(index).visible.any()
        assert data.frames(index, [0])[0].std() > 1
    listed = Generated(12, length=6, photos=sorted(tmp_path.glob("*.png")))
    np.testing.assert_array_equal(listed.frames(7, [2])[0], data.frames(7, [2])[0])


def test_a_single_photograph_is_enough(tmp_path):
    cv2.imwrite(str(tmp_path / "one.png"), np.random.RandomState(0).randint(0, 256, (100, 120, 3)))
    assert Generated(1, length=2, photos=tmp_path).frames(0, [1])[0].shape == (240, 320, 3)


def test_missing_photographs_are_named(tmp_path):
    with pytest.raises(UserError, match="holds no"):
        Generated(photos=tmp_path)
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((50, 50, 3), np.uint8))
    data = Generated(1, photos=tmp_path)
    shutil.rmtree(tmp_path)
    with pytest.raises(ImageReadError, match="one.png"):
        data.frames(0, [0])
