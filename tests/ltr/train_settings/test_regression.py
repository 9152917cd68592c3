"""Age and head pose: the paper's settings, and every system learns a miniature by the command that a user gives."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from ltr.commands.train import main
from ltr.common.errors import UserError
from ltr.common.seeds import seed_for_build
from ltr.models.regression.image_encoder import EncoderSettings, ImageEncoder
from ltr.train_settings.head_pose import images
from ltr.train_settings.registry import load_settings
from ltr.train_settings.regression import build_actor
from ltr.trainers.checkpoint import read_checkpoint
from ltr.trainers.trainer import Trainer
from tests.helpers.faces import OPTIONS, SYSTEMS, make_pointing04, make_utkface, turning_heads

POINTING04 = ["--data.set", "pointing04", "--bins.lower", "-90", "--bins.upper", "90", "--bins.num_bins", "181"]


@pytest.fixture(scope="module")
def place(module_folder):
    make_utkface(module_folder / "utkface")
    make_pointing04(module_folder / "pointing04")
    return module_folder


@pytest.fixture
def workspace(place):
    """One for all, since features of a frozen encoder are kept there; runs go with the test."""
    yield place
    shutil.rmtree(place / "checkpoints", ignore_errors=True)


@pytest.fixture(autouse=True)
def paths(place, monkeypatch):
    for name in ("utkface", "pointing04"):
        monkeypatch.setenv(f"EBM_{name.upper()}", str(place / name))


@pytest.mark.parametrize("task, sigmas, size, bins", [("age", (0.1, 20), 200, 101), ("head_pose", (1, 20), 64, 151)])
@pytest.mark.parametrize("name", SYSTEMS)
def test_settings_are_the_papers(task, sigmas, size, bins, name):
    s = load_settings(task, name).settings()
    assert (s.system, s.encoder.name, s.encoder.frozen_copies, s.encoder.imagenet) == (name, "resnet50", 0, True)
    assert (s.epochs, s.batch_size, s.optimizer.weight_decay, s.schedule.gamma) == (75, 32, 1e-3, 1.0)
    assert (s.loss.kind, s.loss.num_samples, tuple(s.loss.sigmas)) == ("nll", 1024, sigmas)
    assert (s.augment.size, s.augment.flip, s.augment.scale, s.bins.num_bins) == (size, 0.5, (0.7, 1.4), bins)
    assert (s.bins.upper - s.bins.lower) / (bins - 1) == 1


@pytest.mark.parametrize("name, targets, power", [("gaussian", 2, 2), ("laplace", 1, 1), ("laplace", 2, 2)])
def test_a_density_starts_at_the_scale_that_is_set(name, targets, power):
    s = load_settings("head_pose", name).settings()
    s.encoder = EncoderSettings("efficientnet_lite0", imagenet=False)
    s.initial_scale = 45.0
    net = build_actor(s, targets, imagenet=False).net.eval()
    log_scale = net.output(torch.randn(8, 1280))[1]
    torch.testing.assert_close((log_scale / power).exp(), torch.full((8, targets), 45.0), rtol=0.5, atol=0)
    s.initial_scale = 0.0
    with pytest.raises(UserError, match="must be positive and finite"):
        build_actor(s, targets, imagenet=False)


def log(workspace: Path, task: str, name: str) -> list[dict]:
    text = (workspace / "checkpoints" / "ltr" / task / name / "log.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_learns_age(name, workspace):
    """The loss falls, in training and on held-out faces."""
    options = [*OPTIONS, "--epochs", "3", "--val_every", "1", "--workspace", str(workspace)]
    assert main(["age", name, *options]) == 0
    epochs = log(workspace, "age", name)
    for part in ("train", "val"):
        assert epochs[-1][part]["loss"] < epochs[0][part]["loss"]


@pytest.mark.parametrize("name", ["direct_l2", "laplace", "softmax_ce_l2_var", "ebm"])
def test_systems_take_two_angles(name, workspace):
    options = [*OPTIONS, *POINTING04, "--epochs", "2", "--val_every", "2", "--workspace", str(workspace)]
    assert main(["head_pose", name, *options]) == 0
    assert log(workspace, "head_pose", name)[-1]["val"]["loss"] > -100


def test_the_encoder_is_trained_unless_frozen(workspace):
    """Trained as in the paper, its weights change; frozen, all stay but the head's."""
    changed = {}
    for copies in ("0", "1"):
        options = [*OPTIONS, "--epochs", "1", "--val_every", "1", "--encoder.frozen_copies", copies]
        assert main(["age", "direct_l2", *options, "--run_name", copies, "--workspace", str(workspace)]) == 0
        state = read_checkpoint(workspace / "checkpoints" / "ltr" / "age" / copies / "last.pth")["model"]
        definition = load_settings("age", "direct_l2")
        s = definition.settings()
        s.encoder.name, s.encoder.frozen_copies = "efficientnet_lite0", 1
        fresh = ImageEncoder(s.encoder).state_dict()
        changed[copies] = [k for k, v in fresh.items() if not torch.equal(v, state[f"encoder.{k}"])]
    assert changed["1"] == [] and len(changed["0"]) > 100


def settings_of(task: str, name: str, workspace: Path):
    s = load_settings(task, name).settings()
    s.device, s.workers, s.workspace = "cpu", 0, workspace
    s.encoder.name, s.encoder.frozen_copies, s.augment.size = "efficientnet_lite0", 2, 32
    s.epochs, s.batch_size, s.loss.num_samples, s.val_every = 3, 8, 16, 1
    return s


def test_resumed_equals_unbroken(place, tmp_path):
    """Stopped in the middle of the second epoch."""
    weights = []
    for stop_at in (None, 11):
        folder = tmp_path / str(stop_at)
        while True:
            s = settings_of("age", "ebm", place)
            definition = load_settings("age", "ebm")
            seed_for_build(s.seed)
            task = definition.build(s)
            trainer = Trainer(s, task, folder, "ebm")
            steps = [0]

            def count(*_, trainer=trainer, steps=steps, stop_at=stop_at):
                steps[0] += 1
                if steps[0] == stop_at:
                    trainer._received.number = signal.SIGINT

            task.actor.register_forward_hook(count)
            if trainer.train():
                break
            assert 7 < trainer.global_step < 21
            stop_at = None
        weights.append(trainer.model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(*(w.values() for w in weights), strict=True))


def test_pointing04_needs_wider_bins(place):
    s = settings_of("head_pose", "softmax_ce_l2", place)
    s.data.set = "pointing04"
    said = "labels from -90 to 60, [0-9]+ of 40 images outside the bins of -75 to 75: widen.*--bins.lower"
    with pytest.raises(UserError, match=said):
        load_settings("head_pose", "softmax_ce_l2").build(s)


def test_the_papers_bins_do_for_biwi_whose_few_largest_angles_lie_beyond(tmp_path, monkeypatch, caplog):
    """As 59 of the 15,677 published poses do. A face at 140 degrees is skipped, and a line says so."""
    image, pose = np.zeros((400, 8, 8, 3), np.uint8), np.random.default_rng(0).uniform(-60, 60, (400, 3))
    pose[::150, 0], pose[10, 0] = 84, 140
    np.savez(tmp_path / "BIWI_train.npz", image=image, pose=pose)
    monkeypatch.setenv("EBM_FSANET", str(tmp_path))
    s = settings_of("head_pose", "softmax_ce_l2", tmp_path)
    s.encoder.frozen_copies = 0
    with caplog.at_level("INFO"):
        task = load_settings("head_pose", "softmax_ce_l2").build(s)
    said = " ".join(caplog.messages)
    assert "of 350 images outside the bins of -75 to 75; they count as the outermost bin" in said
    assert "1 problems, the first: " in said and "row 10 is skipped" in said and "validation: 49 images" in said
    labels = task.train_data.images.labels
    label = torch.tensor(labels[labels[:, 0] > 75]).float()
    assert len(label) > 1
    assert torch.isfinite(task.actor({"x": torch.zeros(len(label), 3, 32, 32, dtype=torch.uint8), "label": label})[0])


def test_people_are_in_one_part_only(place):
    s = settings_of("head_pose", "ebm", place)
    s.data.set = "pointing04"
    people = {part: set(images(s, part).groups) for part in ("train", "val", "test")}
    assert people["test"] == {"13", "14", "15"} and people["val"] == {"11", "12"}
    assert people["train"] == {f"{k:02}" for k in range(1, 11)}
    s.data.test_people, s.data.val_people = ("01",), ("02", "03")
    assert len(set(images(s, "train").groups)) == 12 and set(images(s, "test").groups) == {"01"}
    s.data.val_people = ("31",)
    with pytest.raises(UserError, match="no group '31'.*--data.test_people and --data.val_people"):
        images(s, "val")


def test_fsanets_validation_has_videos_of_its_own(tmp_path, monkeypatch, caplog):
    """Neighbouring frames are nearly alike, so no video is on both sides."""
    pose = turning_heads([2, 3, 10, 12, 13, 17, 19, 20], np.random.default_rng(1)) / 3
    np.savez(tmp_path / "BIWI_train.npz", image=np.zeros((len(pose), 4, 4, 3), np.uint8), pose=pose)
    monkeypatch.setenv("EBM_FSANET", str(tmp_path))
    s = settings_of("head_pose", "ebm", tmp_path)
    groups = {part: set(images(s, part).groups) for part in ("train", "val")}
    assert len(groups["val"]) == 1 and len(groups["train"]) == 7 and not groups["train"] & groups["val"]
    drawn = set()
    for s.data.val_seed in range(8):
        drawn |= set(images(s, "val").groups)
    assert len(drawn) > 3
    s.data.val_people = ("03", "20")
    assert set(images(s, "val").groups) == {"03", "20"} and not caplog.messages
    np.savez(tmp_path / "BIWI_train.npz", image=np.zeros((99, 4, 4, 3), np.uint8), pose=pose[:99])
    s.data.val_people = ()
    train, val = images(s, "train"), images(s, "val")
    assert (len(train), len(val)) == (87, 12) and "does not show whole videos of BIWI" in caplog.text
    start = np.flatnonzero((pose[:99] == val.labels[0]).all(axis=1))[0]
    assert (val.labels == pose[start : start + 12]).all()  # in one piece


def test_fsanets_files_are_the_papers_data(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for part, number in (("train", 80), ("test", 10)):
        image, pose = rng.integers(0, 256, (number, 64, 64, 3), np.uint8), rng.uniform(-60, 60, (number, 3))
        np.savez(tmp_path / f"BIWI_{part}.npz", image=image, pose=pose)
    monkeypatch.setenv("EBM_FSANET", str(tmp_path))
    s = settings_of("head_pose", "gaussian", tmp_path)
    sizes = [len(images(s, part)) for part in ("train", "val", "test")]
    assert sizes == [70, 10, 10]
    task = load_settings("head_pose", "gaussian").build(s)
    assert s.samples_per_epoch == 70 and task.train_data[0]["label"].shape == (3,)
