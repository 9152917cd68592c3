"""Several processes, on one machine or several: one training, which ends for all when it ends for one."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ltr.trainers.checkpoint import read_checkpoint
from tests.helpers.comparing import same
from tests.helpers.ranks import gradient_over_nccl, run_ranks
from tests.helpers.tiny_training import train_rank

SHORT = {"epochs": 2, "checkpoint_minutes": 1e6}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "tiny_final.safetensors")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    """Folder of two processes' run without interruption."""
    folder = tmp_path_factory.mktemp("unbroken")
    for outcome in run_ranks(train_rank, [(folder, SHORT), (folder, SHORT)], machines=[2]):
        assert outcome.value and outcome.value["finished"], outcome
    return folder


def test_what_one_process_writes_for_two(unbroken):
    files = {path.name for path in unbroken.iterdir()} - {"tensorboard", ".lock"}
    assert files == {"last.pth", "previous.pth", "best.pth", "log.jsonl", "tiny_final.safetensors"}


def test_machines_without_a_shared_folder_continue_from_any_ones_copy(tmp_path, unbroken):
    """The one that leads is stopped, its disk is lost, and the other leads on."""
    first, second = (tmp_path / name for name in ("first", "second"))
    stopped = run_ranks(train_rank, [(first, SHORT), (second, SHORT, {7: "SIGTERM"})])
    assert [outcome.value and outcome.value["step"] for outcome in stopped] == [7, 7], stopped
    assert [outcome.value["signal"] for outcome in stopped] == [15, 15]
    states = [read_checkpoint(folder / "last.pth") for folder in (first, second)]
    assert same(states[0]["model"], states[1]["model"]) and states[0]["position"] == {"epoch": 1, "step": 2}
    assert "stopped at epoch 2, step 2" in stopped[0].output
    shutil.rmtree(first)
    again = run_ranks(train_rank, [(first, SHORT), (second, SHORT)])
    assert all(outcome.value and outcome.value["finished"] for outcome in again), again
    assert f"continuing from {second / 'last.pth'} of process 1 on " in again[0].output
    assert same(weights(first), weights(unbroken)) and same(weights(second), weights(unbroken))
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("event, step", [("SIGINT", 1), ("SIGTERM", 10)])
def test_a_signal_to_one_stops_all_after_the_same_step(tmp_path, unbroken, event, step):
    stopped = run_ranks(train_rank, [(tmp_path, SHORT), (tmp_path, SHORT, {step: event})], machines=[2])
    assert [outcome.value and outcome.value["step"] for outcome in stopped] == [step, step], stopped
    assert not any(outcome.value["finished"] for outcome in stopped)
    done = run_ranks(train_rank, [(tmp_path, SHORT), (tmp_path, SHORT)], machines=[2])
    assert all(outcome.value and outcome.value["finished"] for outcome in done), done
    assert same(weights(tmp_path), weights(unbroken))


def test_three_that_share_no_batch_evenly_equal_one(tmp_path):
    """Batches of 8, of which the last of an epoch has 2; machines with two processes and one."""
    exact = {"epochs": 2, "samples_per_epoch": 34, "drop_last": False, "noise": 0.0, "norm": False, "accumulate": 2}
    three = run_ranks(train_rank, [(tmp_path / "three", exact)] * 3, machines=[2, 1])
    assert all(outcome.value and outcome.value["finished"] for outcome in three), three
    (one,) = run_ranks(train_rank, [(tmp_path / "one", {**exact, "accumulate": 1})])
    torch.testing.assert_close(weights(tmp_path / "three"), weights(tmp_path / "one"), rtol=1e-5, atol=1e-6)
    seen = sorted(k for outcome in three for k in outcome.value["seen"])
    assert seen == sorted([*range(68), 32, 66])  # the third has none in the last step, and computes one for nothing
    for ours, whole in zip(three[0].value["history"], one.value["history"], strict=True):
        for part in ("train", "val"):
            assert ours[part]["loss"] == pytest.approx(whole[part]["loss"], rel=1e-5)
    assert three[0].value["history"][0]["val"] == three[2].value["history"][0]["val"]


def test_another_number_of_processes_goes_on_with_the_next_sample(tmp_path):
    first = run_ranks(train_rank, [(tmp_path, SHORT, {7: "SIGINT"}), (tmp_path, SHORT)], machines=[2])
    (then,) = run_ranks(train_rank, [(tmp_path, SHORT)])
    assert "2 processes trained it so far, now 1: on the same samples, with other draws" in then.output
    assert sorted(first[0].value["seen"] + first[1].value["seen"]) == list(range(56))
    assert then.value["seen"] == list(range(56, 80))


def test_data_that_one_cannot_read_are_the_sentence_of_all(tmp_path):
    broken = {**SHORT, "broken": 45}
    first, second = run_ranks(train_rank, [(tmp_path / "a", broken), (tmp_path / "b", broken)])
    assert second.error == "cannot read 45.jpg: it is truncated"
    assert first.error.startswith("process 1 on ") and first.error.endswith(f": {second.error}")
    for name in ("a", "b"):
        assert read_checkpoint(tmp_path / name / "last.pth")["position"] == {"epoch": 1, "step": 0}


def test_one_that_dies_ends_all_at_once(tmp_path):
    first, second = run_ranks(train_rank, [(tmp_path, {"checkpoint_minutes": 0}), (tmp_path, {}, {8: "exit"})])
    assert second.code == 1
    assert "cannot reach the others at epoch 2, step 2" in first.error and "The same command" in first.error
    assert read_checkpoint(tmp_path / "last.pth")["position"] == {"epoch": 1, "step": 2}
    assert not list(tmp_path.glob("*.tmp"))


def test_one_that_hangs_is_given_up(tmp_path):
    patience = {"timeout_minutes": 0.02}
    first, _ = run_ranks(train_rank, [(tmp_path, patience), (tmp_path, patience, {8: 3.0})])
    assert "or has taken longer than --timeout_minutes 0.02" in first.error


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"seed": 1}, "has --seed 1, and process 0 on * 0: give all the same settings"),
        ({"accumulate": 2}, "has --accumulate 2, and process 0 on * 1: give all the same settings"),
        ({"stream": 3}, "has training sample 0 *: give all machines the same data"),
    ],
)
def test_processes_that_differ_are_refused(tmp_path, change, sentence):
    begin, _, end = sentence.partition("*")
    outcomes = run_ranks(train_rank, [(tmp_path, SHORT), (tmp_path, {**SHORT, **change})])
    for outcome in outcomes:
        assert "process 1 on " in outcome.error and begin in outcome.error and outcome.error.endswith(end)
    assert not list(tmp_path.iterdir())


def test_what_a_machine_decides_may_differ(tmp_path, unbroken):
    own = {**SHORT, "log_every": 7, "workspace": Path("elsewhere"), "checkpoint_minutes": 1.0}
    outcomes = run_ranks(train_rank, [(tmp_path, SHORT), (tmp_path, own)])
    assert all(outcome.value and outcome.value["finished"] for outcome in outcomes), outcomes
    assert same(weights(tmp_path), weights(unbroken))


def test_other_versions_are_refused(tmp_path):
    outcomes = run_ranks(train_rank, [(tmp_path, SHORT), (tmp_path, {**SHORT, "versions": {"torch": "2.0"}})])
    for outcome in outcomes:
        assert "process 1 on " in outcome.error and " has torch 2.0, and process 0 on " in outcome.error
        assert outcome.error.endswith("install the same versions on all machines")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
def test_a_gradient_takes_the_way_over_nccl():
    (outcome,) = run_ranks(gradient_over_nccl, [()], gpus=True)
    assert outcome.value == [1.0, 2.0, 3.0], outcome


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two NVIDIA GPUs")
def test_two_gpus_equal_one(tmp_path):
    exact = {"device": "cuda", "epochs": 2, "noise": 0.0, "norm": False}
    two = run_ranks(train_rank, [(tmp_path / "two", exact)] * 2, machines=[2], gpus=True)
    one = run_ranks(train_rank, [(tmp_path / "one", exact)], gpus=True)
    assert all(outcome.value and outcome.value["finished"] for outcome in two + one), two + one
    torch.testing.assert_close(weights(tmp_path / "two"), weights(tmp_path / "one"), rtol=1e-4, atol=1e-5)
