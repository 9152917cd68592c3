"""The command that searches step-lengths: what it refuses, the tracker's search, and that evaluations find a choice."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltr.commands import evaluate, search_steps
from ltr.evaluation.detection import candidates
from ltr.evaluation.detection import command as detection_command
from ltr.evaluation.steps import detection, detections
from ltr.evaluation.steps.choice import kept_choice
from tests.helpers.offset_detector import OffsetDetector, write_coco

SHIPPED = Path(__file__).resolve().parents[3] / "pytracking" / "networks"


def refused(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        search_steps.main([str(a) for a in arguments])
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["toy"], "the toy has no step: nothing climbs"),
        (["shoe_size"], "there is no task 'shoe_size' with a refinement; there are: bbreg, detection, age, head_pose"),
        (["age", "--step", "3", "0"], "--step 0: give values that are positive and finite"),
        (["detection", "--decay", "2"], "--decay 2: give values that are in (0, 1]"),
        (["detection", "--size", "-1"], "--size -1: give values that are positive and finite"),
        (["detection", "--limit", "0"], "--limit is 0; it must be at least 1"),
        (["detection", "direct"], "direct does not refine; those that do are iou_net, iou_net_star, ebm"),
        (["detection", "resnet"], "there is no system 'resnet'"),
        (["bbreg", "ebm", "nosuch.pth"], "no checkpoint nosuch.pth"),
        (["bbreg", "ebm", "x.pth", "--position", "0"], "'0' is not a positive number"),
        (["bbreg", "ebm", "x.pth", "--start-error", "0.1", "-1"], "'-1' is not a number from 0 on"),
        (["bbreg", "nosuch", "x.pth"], "there are no training settings 'bbreg nosuch'"),
        (["head_pose"], "no folder"),
        (["detection"], "no folder"),
    ],
)
def test_what_cannot_be_searched_is_one_sentence(arguments, said, capsys, tmp_path):
    if arguments[0] in ("age", "head_pose", "detection"):
        arguments = [*arguments, "--workspace", tmp_path]
    assert said in refused(arguments, capsys)


def test_held_out_pairs_choose_the_trackers_step(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    lines = []
    for n in range(20):
        image = rng.integers(0, 120, (120, 160, 3), dtype=np.uint8)
        image[40:80, 50 : 90 + n] = (230, 200, 40)
        Image.fromarray(image).save(tmp_path / f"{n}.png")
        lines.append(f'{{"file": "{n}.png", "set": "mini", "boxes": [[50, 40, {40 + n}, 40]]}}\n')
    (tmp_path / "index.jsonl").write_text("".join(lines))
    monkeypatch.setenv("EBM_IMAGE_FOLDER", str(tmp_path))
    options = ["--position", "1e-4", "1e-7", "--size", "1e-6", "3e-4", "--workspace", str(tmp_path), "--device", "cpu",
               "--data.val_sets", "stills", "--data.val-samples", "4", "--workers", "0"]  # fmt: skip
    command = ["bbreg", "ebm", str(SHIPPED / "ebm_efficientnet_lite0.safetensors"), *options]
    assert search_steps.main(command) == 0
    shown = capsys.readouterr().out
    assert "used by: the tracker, with --refinement.step 0.0001 0.0003" in shown  # not those that hardly move a box
    assert "The best position is at the edge" in shown and "The best size is at the edge" in shown
    assert "4 held-out pairs of each of stills; plain ascent in the relative parametrisation, T = 10, no decay" in shown
    out = tmp_path / "step_search" / "bbreg"
    table = (out / "ebm_efficientnet_lite0.txt").read_text()
    assert shown.startswith(table) and r"\mathbf" in (out / "ebm_efficientnet_lite0.tex").read_text()
    report = json.loads((out / "ebm_efficientnet_lite0.json").read_text())
    assert report["best"] == {"position": 1e-4, "size": 3e-4} and report["at_the_edge"] == ["position", "size"]
    assert np.shape(report["values"]) == (2, 2) and report["before"].keys() == {"stills"}
    assert search_steps.main(command) == 0
    assert capsys.readouterr().out == shown


@pytest.fixture
def detectors(monkeypatch, tmp_path):
    """'Files' of detectors, what loading them gives, and a measure that is best at 2e-4, 8e-4 and 0.8."""
    made = {}
    for name in ("ebm", "ebm_b", "iou_net"):
        made[name] = tmp_path / name / "last.pth"
        made[name].parent.mkdir()
        made[name].write_text(name)
    for module in (candidates, detection_command, detection):
        monkeypatch.setattr(
            module,
            "load_detector",
            lambda path, device="cpu": OffsetDetector(Path(path).parent.name.removesuffix("_b")),
        )

    def measure(detector, images, tried, log, limit, name):
        assert limit == 500
        wanted = (0.5, 0.5, 0.2) if detector.system == "iou_net" else (2e-4, 8e-4, 0.8)
        return 70.0, np.array([80.0 * np.isclose((*s.step, s.decay), wanted).all() for s in tried])

    monkeypatch.setattr(detection, "measure_detections", measure)
    # the evaluation's detector takes any settings
    monkeypatch.setattr(
        detection_command,
        "refinement_of",
        lambda choice, own: replace(own, **vars(detections.refinement_of(choice, own))),
    )
    return made


def test_a_detectors_choice_is_found_by_its_evaluation(detectors, tmp_path, capsys, caplog):
    root = write_coco(tmp_path / "data")
    shared = ["--root", str(root), "--workspace", str(tmp_path), "--device", "cpu"]
    files = ["--checkpoint", str(detectors["ebm"]), str(detectors["ebm_b"])]

    def evaluated(*more):
        capsys.readouterr()
        assert evaluate.main(["detection", *files, *shared, *more]) == 0
        return capsys.readouterr().out

    assert "lambda = 0.0001 and 0.0004, eta = 0.5." in evaluated()
    assert search_steps.main(["detection", *files, *shared]) == 0
    shown = capsys.readouterr().out
    assert "Chosen (*): position 0.0002, size 0.0008, decay 0.8: 80.00; before refinement 70.00." in shown
    assert "The best decay is at the edge" in shown and "The best size" not in shown
    assert "2 runs of ebm: one choice for all, as in the paper." in shown
    assert "used by: ebm-evaluate detection ebm" in shown and "refinement.json" in shown
    assert kept_choice(detectors["ebm"]).step == kept_choice(detectors["ebm_b"]).step == (2e-4, 8e-4)

    found = evaluated()
    assert "T = 10, lambda = 0.0002 and 0.0008, eta = 0.8." in found
    assert "The step 0.0002 / 0.0008 was chosen by ebm-search-steps on 4 images of" in found
    assert "(mean IoU of refined detections, % 80.00), which are also evaluated here." in found
    own = evaluated("--step", "0.001", "0.002")
    assert "lambda = 0.001 and 0.002, eta = 0.8." in own and "was chosen by" not in own  # the option wins
    annotations = root / "annotations" / "instances_val2017.json"
    annotations.write_text(annotations.read_text() + "\n")
    assert "(mean IoU of refined detections, % 80.00)." in evaluated()

    assert not caplog.text
    for file in ("ebm", "ebm_b"):
        detectors[file].write_text("trained again")
    again = evaluated()
    assert "lambda = 0.0001 and 0.0004, eta = 0.5." in again and "was chosen by" not in again
    assert "was written for earlier weights of last.pth and is ignored" in caplog.text


def test_iou_net_has_one_step(detectors, tmp_path, capsys):
    root = write_coco(tmp_path / "data")
    files = ["--checkpoint", str(detectors["iou_net"]), str(detectors["ebm"])]
    shared = ["--root", str(root), "--workspace", str(tmp_path), "--device", "cpu"]
    assert search_steps.main(["detection", *files, *shared, "--position", "0.25", "0.5", "1"]) == 0
    shown = capsys.readouterr().out
    assert "Chosen (*): step 0.5, decay 0.2: 80.00" in shown
    assert kept_choice(detectors["iou_net"]).step == (0.5, 0.5) and kept_choice(detectors["iou_net"]).decay == 0.2
    assert {file.name for file in (tmp_path / "step_search" / "detection").iterdir()} >= {"iou_net.tex", "ebm.tex"}
