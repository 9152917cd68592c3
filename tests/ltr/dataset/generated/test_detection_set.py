"""The set of generated detection images on disk."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from ltr.common.errors import UserError
from ltr.common.images import read_image
from ltr.dataset import read_coco_detection
from ltr.dataset.generated import detection_set as module
from ltr.dataset.generated.detection_scenes import draw_scene
from ltr.dataset.generated.detection_set import (
    MANIFEST,
    generated_detection,
    main,
    write_generated_detection,
)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sets") / "new" / "small"
    write_generated_detection(folder, train=8, val=4, seed=3)
    return folder


def snapshot(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*") if path.is_file()}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("split", "count"), [("train", 8), ("val", 4)])
def test_written_set_is_read_as_coco(written, split, count):
    images = read_coco_detection(written, split)
    assert len(images) == count and len(images.usable()) == count
    assert images.categories == {1: "stone", 2: "brick", 3: "leaf", 4: "flower", 5: "star"}
    assert not any(images.skipped.values())
    for i in range(count):
        drawn = draw_scene(split, i, seed=3)
        expected = drawn.boxes()
        expected[:, 2:] += expected[:, :2]
        np.testing.assert_allclose(images.boxes(i), expected, atol=0.006)
        assert images.labels(i).tolist() == [label for _, label in drawn.objects]
        assert np.abs(images.image(i).astype(float) - drawn.image()).mean() < 6  # what JPEG costs


def test_pycocotools_scores_the_truth_as_perfect(written, capsys):
    from pycocotools.cocoeval import COCOeval

    truth = COCO(str(written / "annotations" / "instances_train2017.json"))
    keys = ("image_id", "category_id", "bbox")
    found = [{**{key: thing[key] for key in keys}, "score": 1.0} for thing in truth.dataset["annotations"]]
    scores = COCOeval(truth, truth.loadRes(found), "bbox")
    scores.evaluate()
    scores.accumulate()
    scores.summarize()
    assert scores.stats[0] == pytest.approx(1.0)
    ids = [thing["id"] for thing in truth.dataset["annotations"]]
    assert len(set(ids)) == len(ids) and all(thing["area"] > 0 for thing in truth.dataset["annotations"])


def test_same_seed_same_bytes(written, tmp_path):
    write_generated_detection(tmp_path / "again", train=8, val=4, seed=3)
    assert contents(tmp_path / "again") == contents(written)
    write_generated_detection(tmp_path / "less", train=2, val=1, seed=3)
    images = {name: data for name, data in contents(tmp_path / "less").items() if name.suffix == ".jpg"}
    assert len(images) == 3 and images.items() <= contents(written).items()
    write_generated_detection(tmp_path / "less", train=2, val=1, seed=4)
    assert not images.items() & contents(tmp_path / "less").items()


def test_a_set_is_made_once_in_a_workspace(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(module, "write_generated_detection", calls.append)
    assert generated_detection(tmp_path) == tmp_path / "generated_detection" == calls[0]


@pytest.mark.parametrize("damage", ["nothing", "version", "image", "annotations"])
def test_complete_set_is_kept_and_others_are_made_anew(tmp_path, damage):
    folder = tmp_path / "set"
    write_generated_detection(folder, train=2, val=1)
    original, before = contents(folder), snapshot(folder)
    if damage == "version":
        (folder / MANIFEST).write_text(json.dumps({**json.loads((folder / MANIFEST).read_text()), "version": 0}))
    elif damage == "image":
        next((folder / "val2017").iterdir()).unlink()
    elif damage == "annotations":
        (folder / "annotations" / "instances_val2017.json").unlink()
    write_generated_detection(folder, train=2, val=1)
    assert contents(folder) == original
    assert (snapshot(folder) == before) == (damage == "nothing")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_interrupted_writing_leaves_what_was_there(tmp_path, monkeypatch):
    folder = tmp_path / "set"

    def interrupted(split, index, *others):
        if split == "val":
            raise KeyboardInterrupt
        return draw_scene(split, index, *others)

    with monkeypatch.context() as patch:
        patch.setattr(module, "draw_scene", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_generated_detection(folder, train=2, val=1)
        assert not list(tmp_path.iterdir())
        patch.undo()
        write_generated_detection(folder, train=1, val=1)
        before = snapshot(folder)
        patch.setattr(module, "draw_scene", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_generated_detection(folder, train=2, val=1)
        assert snapshot(folder) == before and [path.name for path in tmp_path.iterdir()] == ["set"]


def test_leftovers_of_killed_runs_are_removed_but_nothing_else(tmp_path):
    names = {".partial-set-old": 7200, ".partial-set-new": 5, ".partial-other": 7200}
    for name, age in names.items():
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    write_generated_detection(tmp_path / "set", train=1, val=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".partial-other", ".partial-set-new", "set"]


def test_what_is_not_ours_is_never_replaced(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train2017.json").write_text("precious")
    with pytest.raises(UserError, match="is there already and is no generated detection set; choose another folder"):
        write_generated_detection(tmp_path, train=1, val=1)
    assert (tmp_path / "annotations" / "instances_train2017.json").read_text() == "precious"
    file = tmp_path / "file"
    file.write_text("")
    for place in (file, file / "set"):
        with pytest.raises(UserError, match="file.* cannot be written|cannot be written to .*file"):
            write_generated_detection(place, train=1, val=1)
    (tmp_path / "empty").mkdir()
    write_generated_detection(tmp_path / "empty", train=1, val=1)
    assert (tmp_path / "empty" / MANIFEST).is_file()


def test_backgrounds_of_the_user(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    with pytest.raises(UserError, match="photos holds no"):
        write_generated_detection(tmp_path / "set", 1, 1, photos=photos)
    for number, value in enumerate((0, 60, 120, 180)):
        cv2.imwrite(str(photos / f"{number}.png"), np.full((90, 70, 3), value, np.uint8))
    backgrounds = module._split_photographs(photos)
    assert len(backgrounds["val"]) == 1 and len(backgrounds["train"]) == 3
    assert not set(backgrounds["val"]) & set(backgrounds["train"])
    write_generated_detection(tmp_path / "set", 4, 2, photos=photos)
    drawn = draw_scene("train", 2, 0, backgrounds["train"])
    image = read_image(tmp_path / "set" / "train2017" / "000000000003.jpg")
    assert np.abs(image.astype(float) - drawn.image()).mean() < 6
    for file in photos.glob("[1-3].png"):
        file.unlink()
    with pytest.raises(UserError, match="photos holds one photograph"):
        write_generated_detection(tmp_path / "set", 4, 2, photos=photos)


def test_command_line(tmp_path, capsys):
    main([str(tmp_path / "set"), "--train", "1", "--val", "2", "--seed", "7"])
    assert json.loads((tmp_path / "set" / MANIFEST).read_text())["seed"] == 7
    assert len(read_coco_detection(tmp_path / "set", "val")) == 2
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path / "set"), "--train", "0"])
    assert end.value.code == 2 and "cannot have 0 training" in capsys.readouterr().err
