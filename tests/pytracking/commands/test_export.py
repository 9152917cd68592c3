"""ebm-export: results on disk for annotation tools."""

import json

import numpy as np
import pytest

from pytracking.annotation.box_files import read_boxes
from pytracking.commands.export import main
from tests.helpers.evaluation_fakes import write_sequence


def record(path, flags=("normal", "normal"), **entries):
    """A record as ebm-video writes it, of one object in frames 3, 4, ...."""
    frames = [
        {"index": 3 + n, "time": None, "objects": [{"name": "target", "box": [5, 6, 7, 8], "score": 0.5, "flag": flag}]}
        for n, flag in enumerate(flags)
    ]
    content = {"source": "films/walk.mp4", "size": [64, 48], "fps": 25.0, "complete": True, "frames": frames} | entries
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_records_of_videos(tmp_path, capsys):
    record(tmp_path / "videos/walk.json", ("normal", "not_found"))
    record(tmp_path / "videos/run.json", objects=[{"name": "target", "id": 9, "label": "dog"}])
    record(tmp_path / "videos/going_on.partial.json")
    assert main([str(tmp_path / "videos"), "--format", "cvat", "coco"]) == 0
    written = sorted(path.relative_to(tmp_path / "videos").as_posix() for path in tmp_path.glob("videos/*/*"))
    assert written == ["coco/run.json", "coco/walk.json", "cvat/run.xml", "cvat/walk.xml"]
    assert str(tmp_path / "videos/cvat/run.xml") in capsys.readouterr().out
    (walk,) = read_boxes(tmp_path / "videos/cvat/walk.xml")
    assert walk.video == "walk.mp4"
    assert [(box.frame, box.absent) for box in walk.tracks[0].boxes] == [(3, False), (4, True)]
    assert [(track.id, track.label) for track in read_boxes(tmp_path / "videos/cvat/run.xml")[0].tracks] == [(9, "dog")]


def test_a_damaged_record_is_refused(tmp_path, capsys):
    for entries in ({"size": ["a", 48]}, {"objects": [{"name": "target", "id": []}]}, {"fps": {}}, {"frames": [[]]}):
        assert main([str(record(tmp_path / "walk.json", **entries)), "--format", "cvat"]) == 1
        assert "walk.json is no record of a run on a video" in capsys.readouterr().err


def test_labels_and_another_folder(tmp_path):
    file = record(tmp_path / "videos/walk.json")
    assert main(["--out", str(tmp_path / "to"), str(file), "--format", "cvat", "--label", "cat"]) == 0
    assert read_boxes(tmp_path / "to/cvat/walk.xml")[0].tracks[0].label == "cat"


def test_one_that_cannot_be_used_stops_no_other(tmp_path, capsys):
    good = record(tmp_path / "videos/walk.json")
    (tmp_path / "videos/a.json").write_text('{"source": "a"}')
    (tmp_path / "videos/b.json").write_text("{")
    assert main([str(tmp_path / "videos"), str(tmp_path / "none.json"), "--format", "mot", "--label", "cat"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3 and "no record of a run on a video" in errors[0] and "cannot be read" in errors[2]
    assert (good.parent / "mot/walk.zip").exists()
    assert main([str(good), "--format", "mot", "--label", "a", "b"]) == 1
    assert "2 labels for 1 objects" in capsys.readouterr().err


def test_a_benchmarks_results_count_as_each_format_does(tmp_path):
    """OTB counts pixels from 1, as MOTChallenge; CVAT and COCO from 0. A line without an area is an absent target."""
    write_sequence(tmp_path / "data", "Walk", 4)
    boxes = np.array([[5, 6, 10, 8], [6, 6, 10, 8], [0, 0, 0, 0], [8, 6, 10, 8]])
    folder = tmp_path / "results/fake/still"
    folder.mkdir(parents=True)
    np.savetxt(folder / "Walk.txt", boxes, delimiter=",")
    data = ["--dataset_name", str(tmp_path / "data"), "--origin", "1", "--results", str(tmp_path / "results")]
    assert main(["--format", "cvat", "mot", "coco", *data]) == 0
    for form, suffix in (("cvat", "xml"), ("mot", "zip"), ("coco", "json")):
        (video,) = read_boxes(folder / form / f"Walk.{suffix}")
        seen = [(box.frame, *box.box) for box in video.tracks[0].boxes if not box.absent]
        assert seen == [(0, 4, 5, 10, 8), (1, 5, 5, 10, 8), (3, 7, 5, 10, 8)]
    images = json.loads((folder / "coco/Walk.json").read_text())["images"]
    assert images[0]["file_name"] == "0001.png" and images[0]["width"] == 48


def test_nothing_to_export(tmp_path, capsys):
    for arguments in (["--annotations", str(tmp_path)], [str(tmp_path)]):
        with pytest.raises(SystemExit) as stop:
            main(["--format", "cvat", *arguments])
        assert stop.value.code == 2 and "error: " in capsys.readouterr().err
