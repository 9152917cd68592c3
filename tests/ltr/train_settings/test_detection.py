"""Settings of the detectors: the paper's values, what they are refused for, and a training by the user's command."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import safetensors.torch
import torch
import tyro

from ltr.actors.detection import DetectionActor
from ltr.commands import train as train_command
from ltr.common.errors import UserError
from ltr.dataset.generated.detection_set import write_generated_detection
from ltr.models.detection import SYSTEMS, DetectionRefinementSettings, load_detector
from ltr.models.detection.faster_rcnn import BaseSettings
from ltr.train_settings import small_detection as small_settings
from ltr.train_settings.detection import DetectionSettings, build
from ltr.train_settings.registry import available_settings, load_settings
from ltr.trainers.checkpoint import read_checkpoint
from ltr.trainers.schedule import learning_rate
from tests.helpers.tiny_detectors import LITE, photographs


def settings_of(name: str) -> DetectionSettings:
    return load_settings("detection", name).settings()


# --- the paper's


def test_there_is_a_file_of_every_system():
    assert sorted(available_settings()["detection"]) == sorted(SYSTEMS)
    assert all(settings_of(name).detector.system == name for name in SYSTEMS)


@pytest.mark.parametrize("name", SYSTEMS)
def test_settings_are_the_papers(name):
    """Appendix C.2 and C.4."""
    s = settings_of(name)
    rates = {"iou_net": 0.01, "iou_net_star": 0.01, "ebm": 0.001}
    if name != "direct":  # which the paper does not train
        assert s.optimizer.lr == rates.get(name, 0.005)
    assert (s.optimizer.kind, s.optimizer.momentum, s.optimizer.weight_decay) == ("sgd", 0.9, 1e-4)
    assert s.batch_size == 16 and s.epochs * (s.samples_per_epoch // s.batch_size) == 60_000
    base = s.optimizer.lr
    rates_at = {0: 1 / 3, 250: 2 / 3, 500: 1, 39_999: 1, 40_000: 0.1, 49_999: 0.1, 50_000: 0.01, 59_999: 0.01}
    for step, factor in rates_at.items():
        assert learning_rate(s, step) == pytest.approx(factor * base)
    assert s.detector.base == BaseSettings("resnet50_fpn", 91, 800, 1333)
    assert (s.data.set, s.data.year, s.grad_clip, s.precision) == ("coco", 2017, None, "32-true")
    assert (s.proposals.num_samples, s.proposals.sigmas, s.proposals.min_iou) == (128, (0.0375, 0.075, 0.15), 0.5)
    climbs = {
        "iou_net": DetectionRefinementSettings((0.5, 0.5), 0.1, 10),
        "iou_net_star": DetectionRefinementSettings((0.002, 0.008), 0.2, 10),
        "ebm": DetectionRefinementSettings((0.0001, 0.0004), 0.5, 10),
    }
    if name in climbs:
        assert s.detector.refinement == climbs[name]


def test_defaults_are_made_anew():
    for name in ("ebm", "iou_net"):
        first = settings_of(name)
        first.detector.refinement.step, first.detector.base.min_size = (1.0, 1.0), 7
        first.proposals.num_samples, first.optimizer.lr = 3, 9.0
        again = settings_of(name)
        assert again.detector.refinement.step != (1.0, 1.0) and again.detector.base.min_size == 800
        assert again.proposals.num_samples == 128 and again.optimizer.lr < 1


def test_small_settings_are_the_papers_but_for_size():
    for name in SYSTEMS:
        small, paper = small_settings.small(name, 3), settings_of(name)
        assert small.seed == 3 and small.detector.system == name
        assert small.detector.refinement == paper.detector.refinement and small.proposals == paper.proposals
        paper.optimizer.lr *= 5 if name.startswith("iou_net") else 1
        assert small.optimizer == paper.optimizer


@pytest.mark.parametrize("name", ["direct", "ebm"])
def test_every_field_has_a_flag_with_its_help(name, capsys):
    default = settings_of(name)
    with pytest.raises(SystemExit) as caught:
        tyro.cli(type(default), default=default, args=["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for flag in ("--base-weights", "--detector.base.num-classes", "--detector.refinement.step", "--data.root",
                 "--proposals.sigmas", "--schedule.milestones"):  # fmt: skip
        assert flag in text
    args = ["--detector.refinement.step", "0.1", "0.2", "--proposals.sigmas", "0.05", "0.1"]
    changed = tyro.cli(type(default), default=default, args=args)
    assert changed.detector.refinement.step == (0.1, 0.2) and changed.proposals.sigmas == (0.05, 0.1)
    assert settings_of(name).detector.refinement.step != (0.1, 0.2)


# --- what does not fit


@pytest.fixture(scope="module")
def generated(module_folder) -> Path:
    root = module_folder / "set"
    write_generated_detection(root, train=8, val=4)
    return root


def tiny(name: str, root: Path) -> DetectionSettings:
    s = settings_of(name)
    s.detector.base = BaseSettings(LITE.name, 6, 96, 128)
    s.data.root = root
    return s


def test_build_gives_a_task(generated):
    s = tiny("direct", generated)
    task = build(s)
    assert len(task.train_data) == s.epochs * s.samples_per_epoch and len(task.val_data) == 4
    assert isinstance(task.actor, DetectionActor) and task.best == "loss"
    assert task.train_data.max_ratio == task.val_data.max_ratio == 128  # narrower images cannot be scaled
    batch = task.collate([task.train_data[0], task.val_data[3]])
    assert len(batch["images"]) == len(batch["targets"]) == 2
    s.data.val_images = 2
    assert len(build(s).val_data) == 2


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda s: setattr(s.data, "val_images", 0), "data.val_images is 0"),
        (lambda s: setattr(s.proposals, "num_samples", 0), "proposals.num_samples must be at least 1"),
        (lambda s: setattr(s.proposals, "sigmas", (0.1, 0.0)), "sigmas must be positive"),
        (lambda s: setattr(s.proposals, "min_iou", 1.0), "proposals.min_iou"),
        (lambda s: setattr(s.data, "flip", 1.5), "mirrored with probability 1.5"),
        (lambda s: setattr(s.data, "year", 2014), "2014"),
        (lambda s: setattr(s.detector.base, "num_classes", 5), r"category 5 \(star\).*--detector.base.num_classes 6"),
        (lambda s: setattr(s.detector.base, "min_size", 0), "base.min_size"),
        (lambda s: setattr(s.detector.refinement, "decay", 0.0), "refinement.decay"),
        (lambda s: setattr(s.detector.refinement, "iterations", -1), "refinement.iterations"),
        (lambda s: setattr(s, "base_weights", Path("nowhere.pth")), "nowhere.pth"),
        (lambda s: None, "no published weights.*--base_weights"),
    ],
    ids=range(12),
)
def test_settings_that_do_not_fit_are_named(generated, change, said):
    s = tiny("ebm", generated)
    change(s)
    with pytest.raises(UserError, match=said) as caught:
        build(s)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_not_set_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("EBM_COCO", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match="EBM_COCO"):
        build(tiny("ebm", None))


def test_annotations_without_usable_objects_are_named(generated, tmp_path):
    for split in ("train", "val"):
        root = tmp_path / split
        (root / "annotations").mkdir(parents=True)
        for each in ("train", "val"):
            (root / f"{each}2017").symlink_to(generated / f"{each}2017")
            name = f"instances_{each}2017.json"
            data = json.loads((generated / "annotations" / name).read_text())
            if each == split:
                for annotation in data["annotations"]:
                    annotation["iscrowd"] = 1
            (root / "annotations" / name).write_text(json.dumps(data))
        with pytest.raises(UserError, match=f"instances_{split}2017.json has no object"):
            build(tiny("direct", root))


# --- the user's command


def train(root: Path, workspace: Path, name: str, *more: str, run: str | None = None) -> int:
    arguments = ["detection", name, "--workspace", str(workspace), "--run_name", run or name, "--data.root", str(root)]
    arguments += ["--detector.base.name", LITE.name, "--detector.base.num_classes", "6", "--detector.base.min_size",
                  "96", "--detector.base.max_size", "128", "--samples_per_epoch", "8", "--batch_size", "4",
                  "--epochs", "2", "--workers", "0", "--device", "cpu", "--val_every", "1",
                  "--proposals.num_samples", "32"]  # fmt: skip
    return train_command.main([*arguments, "--optimizer.lr", "1e-3", "--grad_clip", "10", *more])


def weights(workspace: Path, name: str, run: str | None = None) -> tuple[Path, dict[str, torch.Tensor]]:
    file = workspace / "checkpoints/ltr/detection" / (run or name) / f"{name}_final.safetensors"
    return file, safetensors.torch.load_file(file)


@pytest.fixture(scope="module")
def base(generated, module_folder) -> Path:
    """A workspace where `direct` was trained."""
    assert train(generated, module_folder, "direct") == 0
    return module_folder


def test_a_base_is_trained(base):
    file, _ = weights(base, "direct")
    lines = [json.loads(line) for line in (file.parent / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    for line in lines:
        for part in ("train", "val"):
            assert {"loss", "loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"} <= set(line[part])
            assert all(value is not None for value in line[part].values())
    assert load_detector(file).system == "direct"


@pytest.mark.parametrize("name", ["gaussian", "mixture8", "cvae", "iou_net", "ebm"])
def test_every_system_is_trained_on_the_base(generated, base, name):
    base_file, base_state = weights(base, "direct")
    assert train(generated, base, name, "--base_weights", str(base_file), "--epochs", "1") == 0
    file, state = weights(base, name)
    assert all(torch.equal(state[key], value) for key, value in base_state.items())
    if "branch.feat_conf.fc6.weight" in state:  # which goes on from Feat-Box
        start, now = base_state["base.roi_heads.box_head.fc6.weight"], state["branch.feat_conf.fc6.weight"]
        assert 0 < (now - start).norm() < 0.1 * start.norm()
    for path in (file, file.parent / "last.pth", file.parent / "best.pth"):
        detector = load_detector(path)
        assert detector.system == name
        detector(photographs((96, 128)))
    (line,) = [json.loads(line) for line in (file.parent / "log.jsonl").read_text().splitlines()]
    assert ("refined_iou" in line["val"]) == detector.refines
    assert line["skipped"] == 0 and all(value is not None for value in line["val"].values())
    shutil.rmtree(file.parent)


def test_ctrl_c_and_the_same_command_give_the_same_weights(generated, base, monkeypatch):
    more = ["--base_weights", str(weights(base, "direct")[0]), "--checkpoint_minutes", "1e6"]
    assert train(generated, base, "ebm", *more, run="unbroken") == 0

    calls, forward = [], DetectionActor.forward

    def interrupted(self, batch):
        calls.append(self.training)
        if sum(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return forward(self, batch)

    monkeypatch.setattr(DetectionActor, "forward", interrupted)
    assert train(generated, base, "ebm", *more, run="broken") == 130
    folder = base / "checkpoints/ltr/detection/broken"
    assert read_checkpoint(folder / "last.pth")["position"] == {"epoch": 1, "step": 1}
    monkeypatch.setattr(DetectionActor, "forward", forward)
    assert train(generated, base, "ebm", *more, run="broken") == 0
    (_, whole), (_, resumed) = weights(base, "ebm", "unbroken"), weights(base, "ebm", "broken")
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[name], resumed[name]) for name in whole)
    logs = [(base / "checkpoints/ltr/detection" / run / "log.jsonl").read_text() for run in ("unbroken", "broken")]
    first, second = ([json.loads(line)["val"] for line in log.splitlines()] for log in logs)
    assert first == second


def test_direct_goes_on_from_weights_that_are_given(generated, base):
    file, state = weights(base, "direct")
    more = ["--base_weights", str(file), "--epochs", "1", "--optimizer.lr", "1e-12", "--optimizer.weight_decay", "0"]
    assert train(generated, base, "direct", *more, run="more") == 0
    _, again = weights(base, "direct", "more")
    assert all(torch.allclose(again[name], value, atol=1e-6) for name, value in state.items())


def test_parts_of_a_batch_and_bfloat16(generated, base):
    more = ["--base_weights", str(weights(base, "direct")[0]), "--epochs", "1", "--precision", "bf16-mixed"]
    for name in ("gaussian", "ebm"):
        assert train(generated, base, name, *more, "--accumulate", "4", run=f"{name}_parts") == 0


def test_errors_of_the_command_are_one_line(generated, base, capsys):
    for more, said in (
        (["--base_weights", str(base / "nothing.pth")], "nothing.pth"),
        (["--proposals.num_samples", "0"], "proposals.num_samples"),
        (["--detector.base.num_classes", "3"], "category 5"),
    ):
        with pytest.raises(SystemExit) as caught:
            train(generated, base, "ebm", *more, run="bad")
        assert caught.value.code == 2
        error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
        assert len(error) == 1 and said in error[0]
