"""The command `ebm-evaluate detection`."""

import json
import re
import shutil
from pathlib import Path

import cv2
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ltr.commands import evaluate as evaluate_command
from ltr.common.plain import to_plain
from ltr.evaluation.detection import candidates
from ltr.evaluation.detection import command as detection_command
from ltr.evaluation.detection.coco_metrics import coco_metrics
from ltr.models.detection import Detector
from ltr.models.detection.faster_rcnn import BaseSettings
from ltr.models.weights_file import read_safetensors
from ltr.train_settings import detection as common
from ltr.train_settings.registry import load_settings
from tests.helpers.offset_detector import OffsetDetector, write_coco


@pytest.fixture
def files(monkeypatch, tmp_path):
    """Two 'files' of detectors and what loading them gives."""
    made = {name: tmp_path / name / "last.pth" for name in ("ebm", "direct")}
    for name, path in made.items():
        path.parent.mkdir()
        path.write_text(name)
    for module in (candidates, detection_command):
        monkeypatch.setattr(module, "load_detector", lambda path, device="cpu": OffsetDetector(Path(path).parent.name))
    return made


def command(root, tmp_path, *arguments):
    return evaluate_command.main(["detection", *map(str, arguments), "--root", str(root), "--workspace", str(tmp_path)])


def test_command_writes_table_detections_and_sheet(files, root, tmp_path, capsys):
    (root / "val2017" / "13.png").write_bytes(b"")
    assert command(root, tmp_path, "--checkpoint", files["ebm"], files["direct"], "--unrefined") == 0
    text = capsys.readouterr().out
    rows = [line for line in text.splitlines() if line.startswith(("Faster", "Ours"))]
    assert [row.split("  ")[0] for row in rows][:3] == ["Faster-RCNN", "Ours (EBM), unrefined", "Ours (EBM)"]
    assert "Unreadable, and counted as without a detection: 13.png." in text and "4 images." in text
    assert "Ours (EBM) refined by Algorithm S1 with T = 10, lambda = 0.0001 and 0.0004, eta = 0.5." in text
    assert f", {torch.get_num_threads()} thread" in text
    out = tmp_path / "evaluation" / "detection"
    assert text.startswith((out / "val.txt").read_text())
    report = json.loads((out / "val.json").read_text())
    assert report["results"]["ebm"][0]["unreadable"] == ["13.png"] and report["files"].keys() == set(
        map(str, files.values())
    )
    assert "Ours (EBM), unrefined &" in (out / "val.tex").read_text()
    assert cv2.imread(str(out / "val_ebm.png")) is not None and not (out / "val_direct.png").exists()
    log = Path(report["results"]["ebm"][0]["log"])
    detections = json.loads(log.with_suffix(".json").read_text())
    annotations = root / "annotations" / "instances_val2017.json"
    assert coco_metrics(annotations, detections).ap == report["results"]["ebm"][0]["metrics"]["ap"]


def test_crowded_images(files, root, tmp_path, capsys, monkeypatch):
    """COCO's rule is said, with the number of objects that it leaves out; another number is asked of the detector."""
    file = root / "annotations" / "instances_val2017.json"
    data = json.loads(file.read_text())
    data["annotations"] += [{**data["annotations"][0], "id": 100 + k} for k in range(119)]
    file.write_text(json.dumps(data))
    assert command(root, tmp_path, "--checkpoint", files["direct"]) == 0
    assert (
        "At most 100 detections of an image count (COCO's rule), but 1 image has more objects, up to 120: "
        "--max_detections 120 counts them all." in capsys.readouterr().out
    )
    detector = OffsetDetector("direct")
    monkeypatch.setattr(detection_command, "load_detector", lambda path, device="cpu": detector)
    assert command(root, tmp_path, "--checkpoint", files["direct"], "--max_detections", "120") == 0
    assert "At most 120 detections of an image count." in capsys.readouterr().out and detector.max_detections == 120
    assert {"val.txt", "val_max120.txt"} <= {path.name for path in (tmp_path / "evaluation" / "detection").iterdir()}
    assert len(list((tmp_path / "evaluation" / "detection" / "detections").glob("*.jsonl"))) == 2


def test_refinement_is_overridden(files, root, tmp_path, capsys):
    options = ["--step", "0.01", "0.02", "--iterations", "3", "--decay", "0.25", "--limit", "2"]
    assert command(root, tmp_path, "ebm", "--checkpoint", files["ebm"], *options) == 0
    text = capsys.readouterr().out
    assert "T = 3, lambda = 0.01 and 0.02, eta = 0.25." in text and "The first 2 of 4 images." in text
    report = json.loads((tmp_path / "evaluation" / "detection" / "val_first2.json").read_text())
    assert report["results"]["ebm"][0]["about"]["refinement"]["iterations"] == 3


@pytest.mark.parametrize(
    ("more", "said"), [([], "same command continues"), (["--restart"], "command, without --restart, ")]
)
def test_ctrl_c_says_how_to_go_on(files, root, tmp_path, capsys, monkeypatch, more, said):
    monkeypatch.setattr(detection_command, "load_detector", lambda path, device="cpu": OffsetDetector(stop=8))
    with pytest.raises(SystemExit) as left:
        command(root, tmp_path, "--checkpoint", files["ebm"], *more)
    assert left.value.code == 130 and said in capsys.readouterr().err


@pytest.fixture(scope="module")
def runs(module_folder):
    """Finished runs of real detectors, as a training leaves them, with random weights: two of ebm, one of direct."""
    for name, seed in (("direct", 0), ("ebm", 0), ("ebm", 1)):
        settings = load_settings("detection", name).settings()
        settings.seed, settings.detector.base = seed, BaseSettings("efficientnet_lite0_fpn", 5, 64, 96)
        torch.manual_seed(seed)
        net = Detector(settings.detector)
        nn.init.constant_(net.base.roi_heads.box_predictor.cls_score.bias, 0.0)
        (module_folder / f"{name}_{seed}").mkdir()
        about = {"settings": json.dumps(to_plain(settings)), "epochs": str(settings.epochs)}
        save_file(net.state_dict(), module_folder / f"{name}_{seed}" / f"{name}_final.safetensors", about)
    (module_folder / "laplace").mkdir()
    (module_folder / "laplace" / "last.pth").write_bytes(b"")
    return module_folder


def test_finished_runs_share_a_table(runs, root, tmp_path, capsys):
    """Two seeds are one row with its spread; what is missing and what is not finished is said, and is no failure."""
    assert command(root, tmp_path, "--runs", runs) == 0
    text = capsys.readouterr().out
    rows = [line.split() for line in text.splitlines() if line.startswith(("Faster", "Ours (EBM)  "))]
    assert (rows[0][-1], rows[1][-1]) == ("1", "2") and rows[1][3] == "±" and "±" not in rows[0]
    assert "No finished run of gaussian, mixture2," in text and "laplace is not finished" in text
    assert "Trained on coco, efficientnet_lite0_fpn at 64 px; direct, ebm: 60000 steps of 16 images." in text
    report = json.loads((tmp_path / "evaluation" / "detection" / "val.json").read_text())
    first, second = (json.loads(Path(r["log"]).with_suffix(".json").read_text()) for r in report["results"]["ebm"])
    assert len(first) > 4 and first != second
    assert command(root, tmp_path, "direct", "--runs", runs) == 0
    text = capsys.readouterr().out
    assert "Faster-RCNN" in text and "No finished run" not in text


def changed(runs, folder, name, section, **values):
    """A copy of a run whose settings say something else."""
    file = next(Path(shutil.copytree(runs / name, folder / name)).glob("*.safetensors"))
    notes, state = read_safetensors(file)
    settings = json.loads(notes["settings"])
    (settings["detector"] if section == "base" else settings)[section].update(values)
    save_file(state, file, {**notes, "settings": json.dumps(settings)})
    return file.parent


def test_runs_of_different_bases_cannot_share_a_table(runs, root, tmp_path, capsys):
    other = changed(runs, tmp_path, "ebm_1", "base", min_size=32)
    with pytest.raises(SystemExit):
        command(root, tmp_path, "--runs", runs / "ebm_0", other)
    assert "cannot share a table: detector.base.min_size is 64 in one and 32" in capsys.readouterr().err


def test_runs_of_the_generated_set_are_evaluated_on_it(runs, root, tmp_path, capsys, monkeypatch):
    """In the workspace of the evaluation, not of the training; --root still has the last word."""
    run = changed(runs, tmp_path, "direct_0", "data", set="generated")
    monkeypatch.delenv("EBM_COCO", raising=False)
    asked = []
    monkeypatch.setattr(common, "generated_detection", lambda workspace: asked.append(workspace) or root)
    options = ["detection", "--runs", str(run), "--limit", "1", "--workspace", str(tmp_path)]
    assert evaluate_command.main(options) == 0
    assert asked == [tmp_path] and "Trained on generated" in capsys.readouterr().out
    assert evaluate_command.main([*options, "--root", str(root)]) == 0 and len(asked) == 1


@pytest.fixture
def both_years(root):
    """COCO as trackers and detectors need it: 2014 beside 2017, with images of its own."""
    older = write_coco(root / "older", ids=(21, 22))
    (older / "val2017").rename(root / "val2014")
    (older / "annotations" / "instances_val2017.json").rename(root / "annotations" / "instances_val2014.json")
    return root


def test_the_year_is_that_of_the_training(files, runs, both_years, tmp_path, capsys):
    """val2014 is mostly in train2017: it is never taken because it happens to be there."""
    older = changed(runs, tmp_path, "direct_0", "data", year=2014)
    for arguments, year, number in (
        (["--runs", runs / "direct_0"], 2017, 4),
        (["--runs", older], 2014, 2),
        (["--runs", older, "--year", 2017], 2017, 4),
        (["--runs", runs / "direct_0", "--year", 2014], 2014, 2),
    ):
        assert command(both_years, tmp_path, *arguments) == 0
        text = capsys.readouterr().out
        assert f"val{year}: COCO's AP" in text and f"{number} images." in text


def test_a_named_file_is_evaluated_on_2017(files, both_years, tmp_path, capsys):
    assert command(both_years, tmp_path, "--checkpoint", files["direct"]) == 0
    assert "val2017: COCO's AP" in capsys.readouterr().out
    (both_years / "annotations" / "instances_val2017.json").unlink()
    with pytest.raises(SystemExit):
        command(both_years, tmp_path, "--checkpoint", files["direct"])
    assert "instances_val2017.json, but that of 2014: name the year" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["gaussian", "--checkpoint", "{ebm}"], "ebm/last.pth is a detector of system ebm, not of gaussian"),
        (["yolo"], "there is no system 'yolo'; there are: direct, gaussian"),
        (["--checkpoint", "{direct}", "--decay", "0.5"], "none of these detectors refines"),
        (["--checkpoint", "{ebm}", "--limit", "0"], "--limit is 0; it must be at least 1"),
        (["--checkpoint", "{ebm}", "--decay", "1.5"], "--decay is 1.5; it must lie between 0 and 1"),
        (["--checkpoint", "{ebm}", "--step", "0", "1"], "--step is 0 1; both must be positive"),
        (["--checkpoint", "{ebm}", "--step", "1", "nan"], "--step is 1 nan; both must be positive and finite"),
        (["--checkpoint", "{ebm}", "--runs", "x"], "give one of them"),
        (["ebm"], "no folder .*checkpoints/ltr/detection of runs; .* ebm-train detection ebm"),
    ],
)
def test_what_the_command_refuses(files, root, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as left:
        command(root, tmp_path, *(a.format(**files) for a in arguments))
    error = capsys.readouterr().err
    assert left.value.code == 2 and error.count("\n") == 1
    assert re.search(message, error)


def rows_of(file):
    table = file.read_text().split("images.\n")[0]  # without the notes
    return [line.split("  ")[0] for line in table.splitlines() if line.startswith(("Faster", "Ours"))]


def test_one_system_leaves_the_rows_of_the_others(runs, root, tmp_path, capsys):
    """The table of all systems stays one when one of them is evaluated anew, with all that is known of each row."""
    out = tmp_path / "evaluation" / "detection"
    assert command(root, tmp_path, "--runs", runs, "--unrefined") == 0
    table, before = (out / "val.txt").read_text(), json.loads((out / "val.json").read_text())
    assert command(root, tmp_path, "direct", "--runs", runs) == 0
    said = capsys.readouterr().out
    assert rows_of(out / "val.txt") == ["Faster-RCNN", "Ours (EBM), unrefined", "Ours (EBM)"]
    day = before["time"][:10]
    assert f"Of earlier evaluations: Ours (EBM), unrefined ({day}); Ours (EBM) ({day})." in said
    assert said.count("Ours (EBM) refined by") == 2 and "replaced" not in said
    after = json.loads((out / "val.json").read_text())
    assert after["results"] == before["results"] and after["files"] == before["files"]
    assert after["runs"] == before["runs"] and after["rows"]["ebm"] == before["rows"]["ebm"]
    assert after["rows"]["direct"]["made"]["settings"]["system"] == "direct"
    numbers = [line for line in table.splitlines() if line.startswith("Ours")]
    assert set(numbers) <= set((out / "val.txt").read_text().splitlines())
    assert not list(out.glob("*replaced*")) and not list(out.glob(".*"))


def test_without_refinement_a_row_stays_beside_the_same_detector_alone(files, root, tmp_path):
    out = tmp_path / "evaluation" / "detection"
    assert command(root, tmp_path, "ebm", "--checkpoint", files["ebm"], "--unrefined") == 0
    assert command(root, tmp_path, "ebm", "--checkpoint", files["ebm"]) == 0
    assert rows_of(out / "val.txt") == ["Ours (EBM), unrefined", "Ours (EBM)"]
    table = json.loads((out / "val.json").read_text())
    table["results"]["ebm unrefined"][0]["about"]["weights"] = "of another detector"
    (out / "val.json").write_text(json.dumps(table))
    assert command(root, tmp_path, "ebm", "--checkpoint", files["ebm"]) == 0
    assert rows_of(out / "val.txt") == ["Ours (EBM)"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table["results"]["direct"][0].update(images=3), "its row Faster-RCNN is of other images"),
        (lambda table: table["results"]["direct"][0]["metrics"].pop("ap50"), "cannot be read as a table of detectors"),
        (lambda table: table.update(results=[1]), "cannot be read as a table of detectors"),
        (lambda table: table["rows"]["direct"].update(runs={"a": {"settings": 1}}), "cannot be read as a table"),
    ],
)
def test_rows_that_cannot_stay_are_kept_under_another_name(files, root, tmp_path, capsys, change, said):
    out = tmp_path / "evaluation" / "detection"
    assert command(root, tmp_path, "--checkpoint", files["direct"]) == 0
    table = json.loads((out / "val.json").read_text())
    change(table)
    (out / "val.json").write_text(json.dumps(table))
    assert command(root, tmp_path, "ebm", "--checkpoint", files["ebm"]) == 0
    assert rows_of(out / "val.txt") == ["Ours (EBM)"]
    assert "the earlier table is now" in (text := capsys.readouterr().out) and said in text
    (kept,) = out.glob("val_replaced_*.txt")
    assert rows_of(kept) == ["Faster-RCNN"] and json.loads(kept.with_suffix(".json").read_text()) == table


def test_a_new_table_of_all_does_not_destroy_rows_that_it_lacks(files, root, tmp_path, capsys):
    out = tmp_path / "evaluation" / "detection"
    assert command(root, tmp_path, "--checkpoint", files["direct"], files["ebm"]) == 0
    assert command(root, tmp_path, "--checkpoint", files["ebm"]) == 0
    assert rows_of(out / "val.txt") == ["Ours (EBM)"] and "it has rows of other systems" in capsys.readouterr().out
    assert [rows_of(file) for file in out.glob("val_replaced_*.txt")] == [["Faster-RCNN", "Ours (EBM)"]]
    assert command(root, tmp_path, "--checkpoint", files["direct"], files["ebm"]) == 0
    assert len(list(out.glob("val_replaced_*.txt"))) == 1


def test_rows_of_a_table_of_an_earlier_version_stay(files, root, tmp_path):
    out = tmp_path / "evaluation" / "detection"
    assert command(root, tmp_path, "--checkpoint", files["direct"]) == 0
    table = json.loads((out / "val.json").read_text())
    del table["rows"]
    (out / "val.json").write_text(json.dumps(table))
    assert command(root, tmp_path, "ebm", "--checkpoint", files["ebm"]) == 0
    assert rows_of(out / "val.txt") == ["Faster-RCNN", "Ours (EBM)"]
    kept = json.loads((out / "val.json").read_text())["rows"]["direct"]["made"]
    assert (kept["time"], kept["commit"], kept["files"]) == (table["time"], table["commit"], table["files"])
