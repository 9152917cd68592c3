"""Evaluating detectors: what is scored, kept, gone on with, and what the command says and refuses."""

import json
import logging
import math
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import ltr.ops
from ltr.commands import evaluate as evaluate_command
from ltr.common.errors import UserError
from ltr.common.plain import to_plain
from ltr.dataset import read_coco_detection
from ltr.evaluation import detection
from ltr.evaluation.coco_metrics import coco_metrics
from ltr.evaluation.detection import NAMES, draw_sheet, evaluate, make_table
from ltr.evaluation.detection_log import DetectionLog, ImageDetections
from ltr.models.detection import Detector as RealDetector
from ltr.models.detection.faster_rcnn import BaseSettings
from ltr.models.weights_file import read_safetensors
from ltr.train_settings import detection as common
from ltr.train_settings.registry import load_settings

BOX = [10.0, 10.0, 40.0, 40.0]  # x, y, w, h of the object of every image
IDS = (3, 5, 8, 13)


def write_coco(root, ids=IDS, categories=(1, 4)):
    """Images of 80 x 60, each of another grey, with one object each, in COCO's layout."""
    (root / "annotations").mkdir(parents=True)
    (root / "val2017").mkdir()
    for i in ids:
        cv2.imwrite(str(root / "val2017" / f"{i}.png"), np.full((60, 80, 3), 10 * i, np.uint8))
    data = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 80, "height": 60} for i in ids],
        "categories": [{"id": c, "name": f"thing{c}"} for c in categories],
        "annotations": [{"id": i, "image_id": i, "category_id": 4, "bbox": BOX} for i in ids],
    }
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(data))
    return root


@pytest.fixture
def root(tmp_path):
    return write_coco(tmp_path / "data")


@pytest.fixture
def images(root):
    return read_coco_detection(root, "val")


@dataclass
class Refinement:
    step: tuple = (1e-4, 4e-4)
    decay: float = 0.5
    iterations: int = 10


class Detector(nn.Module):
    """Finds the object a bit to the right, by 2 pixels if it refines and by 8 if not. Image `stop` raises `error`."""

    def __init__(self, system="ebm", weight=1.0, num_classes=5, stop=None, error=KeyboardInterrupt):
        super().__init__()
        self.system, self.num_classes, self.refines = system, num_classes, system in ("iou_net", "iou_net_star", "ebm")
        self.refinement = Refinement()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.stop, self.error, self.seen = stop, error, []

    def detect(self, images, refine=True):
        [image] = images
        assert image.dtype == torch.uint8 and image.shape == (3, 60, 80) and not torch.is_grad_enabled()
        number = int(image[0, 0, 0]) // 10
        if number == self.stop:
            raise self.error("no more")
        self.seen.append(number)
        shift = 2.0 if refine and self.refines else 8.0
        x, y, w, h = BOX
        boxes = torch.tensor([[x + shift, y, x + w + shift, y + h], [60.0, 2.0, 70.0, 9.0]])
        return [{"boxes": boxes, "labels": torch.tensor([4, 1]), "scores": torch.tensor([0.9, 1 / 3])}]


# --- evaluate


def test_what_is_found_is_scored_and_timed(images):
    result = evaluate(Detector(), images, progress=False)
    assert result.metrics.ap75 == 1 and result.metrics.ap == pytest.approx(0.9) and result.images == 4  # IoU 38 / 42
    assert result.detections[1] == {"image_id": 3, "category_id": 1, "bbox": [60, 2, 10, 7], "score": 0.333333}
    assert [d["image_id"] for d in result.detections[::2]] == list(IDS)
    assert len(result.seconds_per_image) == 4 and min(result.seconds_per_image) > 0
    timed = replace(result, seconds_per_image=[0.1, 9.0, 0.5])
    assert timed.frames_per_second == pytest.approx(2.0)
    unrefined = evaluate(Detector(), images, refine=False, progress=False)
    assert unrefined.metrics.ap75 == 0 and unrefined.metrics.ap50 == 1  # IoU 32 / 48


def test_a_limit_leaves_the_other_images_and_their_objects_out(images):
    detector = Detector()
    result = evaluate(detector, images, limit=2, progress=False)
    assert set(detector.seen) == {3, 5} and result.metrics.ap75 == 1 and result.images == 2
    assert evaluate(Detector(), images, limit=100, progress=False).images == 4


def test_images_that_cannot_be_used_cost_a_warning_and_count(images, caplog):
    """One is no image, one has a shape that the detector refuses: their objects are not found."""
    (images.folder / "5.png").write_bytes(b"nothing")
    with caplog.at_level(logging.WARNING):
        result = evaluate(Detector(stop=8, error=ValueError), images, progress=False)
    assert result.unreadable == ["5.png", "8.png"] and len(result.seconds_per_image) == 2
    assert len(caplog.records) == 2 and "5.png" in caplog.messages[0] and "8.png" in caplog.messages[1]
    assert result.metrics.ar100 == pytest.approx(0.5 * evaluate(Detector(), images, limit=1).metrics.ar100)
    for file in images.folder.iterdir():
        file.write_bytes(b"nothing")
    with pytest.raises(UserError, match="none of the 4 images could be used; the first: .*3.png"):
        evaluate(Detector(), images, progress=False)


def test_unknown_categories_are_refused(images):
    with pytest.raises(
        UserError, match=r"instances_val2017.json has category 4 \(thing4\), but the detector knows 1 to 3"
    ):
        evaluate(Detector(num_classes=4), images)


# --- going on


def test_interrupted_evaluation_goes_on_where_it_stopped(images, tmp_path):
    out = tmp_path / "new" / "ebm"
    with pytest.raises(KeyboardInterrupt):
        evaluate(Detector(stop=8), images, out, progress=False)
    again = Detector()
    result = evaluate(again, images, out)
    assert set(again.seen) == {8, 13} and again.seen.count(13) == 1
    whole = evaluate(Detector(), images, progress=False)
    assert result.detections == whole.detections and result.metrics == whole.metrics
    once_more = Detector()
    last = evaluate(once_more, images, out, progress=False)
    assert not once_more.seen and last.seconds_per_image == result.seconds_per_image
    assert list(out.parent.iterdir()) == [result.file]


def test_a_look_at_a_few_images_is_a_start(images, tmp_path):
    evaluate(Detector(), images, tmp_path / "ebm", limit=2, progress=False)
    detector = Detector()
    assert evaluate(detector, images, tmp_path / "ebm", progress=False).images == 4
    assert set(detector.seen) == {8, 13}


@pytest.mark.parametrize("torn", [1, 20])
def test_torn_last_line_is_done_again(images, tmp_path, torn):
    first = evaluate(Detector(), images, tmp_path / "ebm", progress=False)
    first.file.write_bytes(first.file.read_bytes()[:-torn])
    detector = Detector()
    again = evaluate(detector, images, tmp_path / "ebm", progress=False)
    assert set(detector.seen) == {13} and again.detections == first.detections
    assert len(first.file.read_text().splitlines()) == 5


def test_file_torn_in_its_first_line_begins_anew(images, tmp_path):
    first = evaluate(Detector(), images, tmp_path / "ebm", progress=False)
    whole = first.file.read_bytes()
    first.file.write_bytes(whole[:30])
    assert evaluate(Detector(), images, tmp_path / "ebm", progress=False).detections == first.detections
    assert first.file.read_bytes().splitlines()[0] == whole.splitlines()[0]


def test_damaged_line_is_said_and_done_again(images, tmp_path, caplog):
    first = evaluate(Detector(), images, tmp_path / "ebm", progress=False)
    lines = first.file.read_text().splitlines()
    lines[2] = '{"image_id": 5, "boxes": '
    first.file.write_text("\n".join(lines) + "\n")
    detector = Detector()
    assert evaluate(detector, images, tmp_path / "ebm", progress=False).detections == first.detections
    assert set(detector.seen) == {5} and "line 3 is damaged" in caplog.text


def test_what_was_found_by_another_detector_or_in_other_data_is_not_taken(images, root, tmp_path):
    """Other weights, another refinement, none, other annotations: each has its file, and the first one's stays."""
    out = tmp_path / "ebm"
    first = evaluate(Detector(), images, out, progress=False)
    content = first.file.read_bytes()
    others = [Detector(weight=2.0), Detector()]
    others[1].refinement.iterations = 3
    results = [evaluate(detector, images, out, progress=False) for detector in others]
    unrefined = Detector()
    results.append(evaluate(unrefined, images, out, refine=False, progress=False))
    annotations = root / "annotations" / "instances_val2017.json"
    annotations.write_text(annotations.read_text().replace("40.0, 40.0", "40.0, 39.0"))
    later = Detector()
    results.append(evaluate(later, read_coco_detection(root, "val"), out, progress=False))
    assert all(set(d.seen) == set(IDS) for d in (*others, unrefined, later))
    assert len({first.file, *(r.file for r in results)}) == 5 and first.file.read_bytes() == content


def test_code_that_is_changed_while_it_runs_is_not_taken_for_what_ran(images, tmp_path, monkeypatch):
    before = evaluate(Detector(), images, progress=False).about
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "__init__.py").write_text("# edited meanwhile")
    monkeypatch.setattr(ltr.ops, "__file__", str(tmp_path / "ops" / "__init__.py"))
    assert evaluate(Detector(), images, progress=False).about == before


def test_restart_detects_anew(images, tmp_path):
    evaluate(Detector(), images, tmp_path / "ebm", progress=False)
    detector = Detector()
    evaluate(detector, images, tmp_path / "ebm", progress=False, restart=True)
    assert set(detector.seen) == set(IDS)


def test_log_that_is_something_else_is_refused(tmp_path):
    with DetectionLog(tmp_path / "a", {"weights": 1}) as log:
        log.append(ImageDetections(1, 0.1, [[0.0, 0.0, 1.0, 1.0]], [1], [0.5]))
    log.path.write_text("something\nelse\n")
    with pytest.raises(UserError, match="holds something else than its name says"):
        DetectionLog(tmp_path / "a", {"weights": 1})
    with pytest.raises(UserError, match="cannot be written: .*--out"):
        DetectionLog(log.path / "a", {})


# --- the table


def result_of(images, ap, small=math.nan, seconds=0.5):
    found = evaluate(Detector(), images, progress=False)
    metrics = replace(found.metrics, ap=ap, ap_small=small)
    return replace(found, metrics=metrics, seconds_per_image=[seconds])


def test_table_has_the_papers_order_and_means_of_runs(images):
    results = {
        "L = 1": [result_of(images, 0.1)],
        "ebm": [result_of(images, 0.41), result_of(images, 0.43, seconds=0.25)],
        "ebm unrefined": [result_of(images, 0.38, 0.2)],
        "direct": [result_of(images, 0.4)],
    }
    table = make_table(results, "Title")
    assert [name for name, _ in table.rows] == ["Faster-RCNN", "Ours (EBM), unrefined", "Ours (EBM)", "L = 1"]
    assert [row[0].text() for _, row in table.rows] == ["40.00", "38.00", "42.00 ± 1.00", "10.00"]
    assert table.rows[1][1][3].text() == "20.00" and table.rows[2][1][3] is None  # no small object
    assert table.rows[2][1][-2].text() == "3.00 ± 1.00" and table.rows[2][1][-1] == "2"
    assert list(NAMES)[:2] == ["direct", "gaussian"] and list(NAMES)[-1] == "ebm" and len(NAMES) == 10


def test_objects_of_crowds_only_have_no_score(root, tmp_path):
    annotations = root / "annotations" / "instances_val2017.json"
    annotations.write_text(annotations.read_text().replace('"category_id": 4', '"category_id": 4, "iscrowd": 1'))
    result = evaluate(Detector(), read_coco_detection(root, "val"), progress=False)
    assert math.isnan(result.metrics.ap) and make_table({"ebm": [result]}, "Title").rows[0][1][:6] == [None] * 6


def test_sheet_has_the_boxes_of_the_images_that_both_results_have(images, tmp_path, monkeypatch):
    before = evaluate(Detector(), images, refine=False, limit=3, progress=False)
    after = evaluate(Detector(), images, progress=False)
    seen = []
    monkeypatch.setattr(detection, "contact_sheet", lambda *arguments: seen.append(arguments))
    draw_sheet(images, before, after, tmp_path / "sheet.png")
    [(_, first, second, truth, categories, path, title)] = seen
    assert [len(part) for part in (first, second, truth)] == [3, 3, 3] and "3 images" in title
    assert first[2]["boxes"][0].tolist() == [18, 10, 58, 50] and second[2]["boxes"][0].tolist() == [12, 10, 52, 50]
    assert truth[2]["boxes"].tolist() == [[10, 10, 50, 50]] and categories[4] == "thing4"


# --- the command


@pytest.fixture
def files(monkeypatch, tmp_path):
    """Two 'files' of detectors and what loading them gives."""
    made = {name: tmp_path / name / "last.pth" for name in ("ebm", "direct")}
    for name, path in made.items():
        path.parent.mkdir()
        path.write_text(name)
    monkeypatch.setattr(detection, "load_detector", lambda path, device="cpu": Detector(Path(path).parent.name))
    return made


def command(root, tmp_path, *arguments):
    return evaluate_command.main(["detection", *map(str, arguments), "--root", str(root), "--workspace", str(tmp_path)])


def test_command_writes_table_detections_and_sheet(files, root, tmp_path, capsys):
    (root / "val2017" / "13.png").write_bytes(b"")
    assert command(root, tmp_path, "--checkpoint", files["ebm"], files["direct"], "--unrefined") == 0
    text = capsys.readouterr().out
    rows = [line for line in text.splitlines() if line.startswith(("Faster", "Ours"))]
    assert [row.split("  ")[0] for row in rows][:3] == ["Faster-RCNN", "Ours (EBM), unrefined", "Ours (EBM)"]
    assert "Could not be used, and counted as without a detection: 13.png." in text and "4 images." in text
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


def test_refinement_is_overridden(files, root, tmp_path, capsys):
    options = ["--step", "0.01", "0.02", "--iterations", "3", "--decay", "0.25", "--limit", "2"]
    assert command(root, tmp_path, "ebm", "--checkpoint", files["ebm"], *options) == 0
    text = capsys.readouterr().out
    assert "T = 3, lambda = 0.01 and 0.02, eta = 0.25." in text and "The first 2 of 4 images." in text
    report = json.loads((tmp_path / "evaluation" / "detection" / "val_first2.json").read_text())
    assert report["results"]["ebm"][0]["about"]["refinement"]["iterations"] == 3


@pytest.mark.parametrize(("more", "said"), [([], "same command goes"), (["--restart"], "command, without --restart, ")])
def test_ctrl_c_says_how_to_go_on(files, root, tmp_path, capsys, monkeypatch, more, said):
    monkeypatch.setattr(detection, "load_detector", lambda path, device="cpu": Detector(stop=8))
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
        net = RealDetector(settings.detector)
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
    assert "Faster-RCNN" in text and "Ours" not in text and "No finished run" not in text


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
        (["ebm"], "no folder .*checkpoints/ltr/detection of runs; .* python ltr/run_training.py detection ebm"),
    ],
)
def test_what_the_command_refuses(files, root, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as left:
        command(root, tmp_path, *(a.format(**files) for a in arguments))
    error = capsys.readouterr().err
    assert left.value.code == 2 and error.count("\n") == 1
    assert re.search(message, error)
