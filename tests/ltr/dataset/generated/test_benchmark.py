"""The generated benchmark: what its sequences show, and its files on disk."""

from __future__ import annotations

import json
import os
import time

import cv2
import numpy as np
import pytest

from ltr.common.errors import UserError
from ltr.common.images import read_image
from ltr.dataset.generated import (
    BENCHMARK_SEQUENCES,
    SyntheticScene,
    benchmark,
    benchmark_scene,
    folders,
    write_benchmark,
)
from ltr.dataset.generated.photographs import BENCHMARK_PHOTOGRAPHS

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
    assert benchmark.BENCHMARK_VERSION == 1
    scene = benchmark_scene(name)
    noise_seed, box = BENCHMARK_ENDS[name]
    assert scene.noise_seed == noise_seed
    np.testing.assert_allclose(scene.boxes()[-1], box, atol=0.01)
    assert all(sprite.deformation is None for sprite in scene.sprites)


def test_the_sequences_show_the_photographs_of_the_benchmark():
    photos = {recipe.background for recipe in benchmark._BENCHMARK.values()}
    for recipe in benchmark._BENCHMARK.values():
        photos |= {cutout.photo for cutout in (recipe.target, *recipe.distractors, *recipe.passers)}
    assert photos == set(BENCHMARK_PHOTOGRAPHS)


# -- on disk -------------------------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch):
    """A benchmark of few frames, to be quick."""
    monkeypatch.setattr(benchmark, "BENCHMARK_LENGTH", 3)


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
    render, calls = SyntheticScene.render, []

    def interrupted(self, frame):
        calls.append(frame)
        if len(calls) == 8:  # in the third sequence
            raise KeyboardInterrupt
        return render(self, frame)

    monkeypatch.setattr(SyntheticScene, "render", interrupted)
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

    monkeypatch.setattr(folders.tempfile, "mkdtemp", full)
    with pytest.raises(UserError, match="No space left"):
        write_benchmark(tmp_path / "full")
