"""The command line of the training."""

import os
from pathlib import Path

import pytest
import torch

from ltr.commands import train as train_command
from ltr.evaluation.trainings import training
from ltr.train_settings.recipe import Recipe
from ltr.train_settings.registry import available_settings
from ltr.trainers.checkpoint import read_checkpoint
from ltr.trainers.processes import OtherProcessError
from ltr.trainers.task import Task
from tests.helpers.tiny_training import Line, TinyActor, make_settings
from tests.helpers.warm_python import warm_python

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Makes 'toy tiny' a training of this test; returns the list of settings that were built."""
    built = []

    def build(settings):
        built.append(settings)
        return Task(TinyActor(), Line(10**9), Line(21, stream=1))

    for module in (train_command, training):
        monkeypatch.setattr(module, "load_settings", lambda module, name: Recipe("A line.", make_settings, build))
    monkeypatch.delitem(training.REPORTS, "toy")
    monkeypatch.setenv("EBM_WORKSPACE", str(tmp_path))
    return built


def test_settings_are_overridden_from_the_command_line(tiny, tmp_path):
    arguments = ["--batch_size", "4", "--optimizer.lr", "5e-3", "--schedule.kind", "one_cycle", "--epochs", "1"]
    assert train_command.main(["toy", "tiny", *arguments, "--grad-clip", "1.0"]) == 0
    (settings,) = tiny
    assert (settings.batch_size, settings.optimizer.lr, settings.grad_clip) == (4, 5e-3, 1.0)
    saved = read_checkpoint(tmp_path / "checkpoints" / "ltr" / "toy" / "tiny" / "last.pth")["settings"]
    assert saved["schedule"]["kind"] == "one_cycle" and saved["samples_per_epoch"] == 40


def test_run_name_restart_and_workspace(tiny, tmp_path, capsys):
    arguments = ["toy", "tiny", "--epochs", "1", "--workspace", str(tmp_path / "elsewhere"), "--run_name", "second"]
    assert train_command.main(arguments) == 0
    assert (tmp_path / "elsewhere/checkpoints/ltr/toy/second/tiny_final.safetensors").exists()
    with pytest.raises(SystemExit) as caught:
        train_command.main([*arguments, "--seed", "1"])
    assert caught.value.code == 2
    assert "seed: 0 there, 1 now" in capsys.readouterr().err
    assert train_command.main([*arguments, "--seed", "1", "--restart"]) == 0


def test_initial_weights_depend_on_the_seed_alone(tiny, tmp_path):
    for name in ("a", "b"):
        torch.rand(7)  # whatever happened before
        train_command.main(["toy", "tiny", "--epochs", "1", "--run_name", name])
    a, b = (read_checkpoint(tmp_path / "checkpoints/ltr/toy" / n / "last.pth")["model"] for n in "ab")
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_negative_seed_is_refused(capsys, tiny):
    with pytest.raises(SystemExit):
        train_command.main(["toy", "tiny", "--seed", "-1"])
    assert "--seed is -1; it must be at least 0" in capsys.readouterr().err


def test_ctrl_c_exits_with_130(monkeypatch, tiny):
    def train(self, restart):
        self.stop_signal = 2
        return False

    monkeypatch.setattr(training.Trainer, "train", train)
    assert train_command.main(["toy", "tiny"]) == 130


@pytest.mark.parametrize("local_rank, printed", [("0", "error: process 0 on node1: no disk\n"), ("1", "")])
def test_one_process_of_each_machine_says_why_all_end(monkeypatch, tiny, capsys, local_rank, printed):
    def train(self, restart):
        raise OtherProcessError("process 0 on node1: no disk")

    monkeypatch.setattr(training.Trainer, "train", train)
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    try:
        code = train_command.main(["toy", "tiny"])
    except SystemExit as end:
        code = end.code
    assert code == 2 and capsys.readouterr().err == printed


def test_as_a_script_from_any_folder(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    done = warm_python(ROOT / "ltr" / "run_training.py", "bbreg", "no_such", cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("error: there are no training settings 'bbreg no_such'. Those that exist are")
    assert "ebm" in done.stderr and "Traceback" not in done.stderr


def test_settings_files_are_listed(capsys):
    assert train_command.main([]) == 2
    assert "bbreg: atom" in capsys.readouterr().out
    assert {"atom", "atom_star", "ebm"} <= set(available_settings()["bbreg"])
