"""Checkpoint files: whole or not at all, and data only."""

import errno
import io
import os
import pickle
import zipfile
from unittest.mock import Mock

import pytest
import torch

from ltr.common.errors import UserError
from ltr.trainers import checkpoint
from ltr.trainers.checkpoint import (
    CheckpointError,
    DamagedCheckpointError,
    link_checkpoint,
    load_optimizer,
    read_checkpoint,
    read_latest,
    save_checkpoint,
)

STATE = {
    "model": {"w": torch.arange(2000.0)},
    "position": {"epoch": 1, "step": 2},
    "settings": {"lr": 1e-3, "none": None},
}
WHOLE = {
    **STATE,
    "optimizer": {"state": {}, "param_groups": []},
    "scaler": {},
    "skipped": [0, 0],
    "averages": {"loss": [1.0, 2.0]},
    "history": [],
    "best": None,
    "seconds": 0.0,
}


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil_was_here",)


@pytest.mark.parametrize("room", [0, 100, 2000])
def test_a_full_disk_is_a_sentence_whatever_pytorch_says(tmp_path, monkeypatch, room):
    save_checkpoint(tmp_path / "last.pth", {"model": {"a": torch.ones(1)}})
    before = (tmp_path / "last.pth").read_bytes()

    class Full(io.FileIO):
        def write(self, data):
            if self.tell() + len(data) > room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data)

    monkeypatch.setattr(checkpoint, "open", lambda path, mode: Full(path, "w"), raising=False)
    with pytest.raises(UserError, match="last.pth cannot be written: No space left"):
        save_checkpoint(tmp_path / "last.pth", {"model": {"a": torch.ones(1000)}})
    monkeypatch.undo()
    assert (tmp_path / "last.pth").read_bytes() == before and len(os.listdir(tmp_path)) == 1


def test_round_trip(tmp_path):
    save_checkpoint(tmp_path / "last.pth", STATE)
    state = read_checkpoint(tmp_path / "last.pth")
    assert torch.equal(state["model"]["w"], STATE["model"]["w"])
    assert state["settings"] == STATE["settings"]
    assert [p.name for p in tmp_path.iterdir()] == ["last.pth"]


def test_a_write_that_dies_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "last.pth"
    save_checkpoint(path, STATE)

    def full_disk(content, file):
        file.write(b"half a che")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", full_disk)
    with pytest.raises(UserError, match=r"last\.pth cannot be written: No space left on device; .*--workspace"):
        save_checkpoint(path, {}, keep=tmp_path / "previous.pth")
    assert read_checkpoint(path)["position"] == STATE["position"]
    assert [p.name for p in tmp_path.iterdir()] == ["last.pth"]


@pytest.mark.parametrize("links", [True, False])
def test_a_second_name_takes_no_space_and_survives_the_next_save(tmp_path, monkeypatch, links):
    """Where the file system has no hard links, a copy does."""
    best, last, previous = (tmp_path / name for name in ("best.pth", "last.pth", "previous.pth"))
    if not links:
        monkeypatch.setattr(checkpoint.os, "link", Mock(side_effect=OSError(95, "Operation not supported")))
    save_checkpoint(last, {**STATE, "number": 1})
    save_checkpoint(best, {**STATE, "number": 2})
    link_checkpoint(best, last, previous)
    assert os.path.samefile(best, last) == links
    save_checkpoint(last, {**STATE, "number": 3}, previous)
    assert [read_checkpoint(path)["number"] for path in (previous, best, last)] == [2, 2, 3]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_process_that_dies_between_the_two_renames_leaves_the_previous(tmp_path):
    save_checkpoint(tmp_path / "last.pth", WHOLE)
    (tmp_path / "last.pth").rename(tmp_path / "previous.pth")
    path, state = read_latest(tmp_path)
    assert path.name == "previous.pth" and state["position"] == STATE["position"]


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text"])
def test_damaged_files_are_named(tmp_path, damage):
    path = tmp_path / "last.pth"
    save_checkpoint(path, STATE)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = max(archive.infolist(), key=lambda info: info.file_size)
    data[info.header_offset + 4000] ^= 1  # inside the tensor
    content = {"empty": b"", "cut": data[: len(data) // 2], "flipped": data, "text": b"not a checkpoint"}[damage]
    path.write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match=r"last\.pth is damaged.*--restart"):
        read_latest(tmp_path)


def test_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "last.pth"
    torch.save({"format": checkpoint.FORMAT, "model": Evil()}, path)
    save_checkpoint(tmp_path / "previous.pth", STATE)
    with pytest.raises(CheckpointError, match=r"last\.pth was not loaded: it holds Python objects"):
        read_latest(tmp_path)  # somebody put it there: no quiet way round it
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match=r"last\.pth"):
        read_checkpoint(path)
    assert not (tmp_path / "evil_was_here").exists()


def test_files_of_other_programs_are_refused(tmp_path):
    path = tmp_path / "last.pth"
    for content in ({"net": {"w": torch.ones(1)}}, [1, 2], torch.ones(3)):
        torch.save(content, path)
        with pytest.raises(CheckpointError, match=r"last\.pth is no checkpoint of this trainer"):
            read_checkpoint(path)


def test_a_newer_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "VERSION", 99)
    save_checkpoint(tmp_path / "last.pth", STATE)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="version 99"):
        read_checkpoint(tmp_path / "last.pth")


def test_an_unreadable_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere.* cannot be written"):
        save_checkpoint(tmp_path / "nowhere" / "last.pth", STATE)


@pytest.mark.parametrize(
    "change",
    [
        *[{name: None} for name in WHOLE if name != "best"],
        {"model": {"w": torch.tensor([1.0, float("nan")])}},
        {"model": {"w": torch.zeros(1).expand(10**9)}},
        {"position": {"epoch": True, "step": 0}},
        {"position": {"epoch": 1}},
        {"skipped": [1]},
        {"averages": {"loss": 1.0}},
        {"history": [1]},
        {"best": "0.5"},
    ],
)
def test_a_checkpoint_that_lacks_a_part_gives_way_to_the_one_before(tmp_path, change, caplog):
    save_checkpoint(tmp_path / "last.pth", {**WHOLE, **change})
    with pytest.raises(DamagedCheckpointError, match=r"last\.pth is damaged: .*--restart"):
        read_latest(tmp_path)
    save_checkpoint(tmp_path / "previous.pth", WHOLE)
    assert read_latest(tmp_path)[0].name == "previous.pth"
    assert "Continuing from" in caplog.text


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def doubled(times):
    """A list that is 2^times long when it is written out, and short in a pickle."""
    value = [0]
    for _ in range(times):
        value = [value, value]
    return value


@pytest.mark.parametrize("content", [nested(90), doubled(40)])
def test_a_small_file_that_stands_for_much_is_refused(tmp_path, content):
    save_checkpoint(tmp_path / "last.pth", {**WHOLE, "settings": {"a": content}})
    with pytest.raises(DamagedCheckpointError, match="nested|more than"):
        read_latest(tmp_path)


def test_compressed_parts_are_refused(tmp_path):
    """`torch.save` stores them; a few kilobytes of compressed zeros could fill the memory."""
    save_checkpoint(tmp_path / "stored.pth", WHOLE)
    with (
        zipfile.ZipFile(tmp_path / "stored.pth") as stored,
        zipfile.ZipFile(tmp_path / "last.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in stored.namelist():
            packed.writestr(name, stored.read(name))
    with pytest.raises(DamagedCheckpointError, match="compressed"):
        read_latest(tmp_path)


def test_a_pipe_in_place_of_a_checkpoint_is_refused(tmp_path):
    os.mkfifo(tmp_path / "last.pth")
    with pytest.raises(CheckpointError, match="a pipe"):
        read_latest(tmp_path)


def test_an_optimiser_takes_what_it_had_learned_and_keeps_its_settings(tmp_path):
    def adam(lr=0.1):
        torch.manual_seed(0)
        weights = torch.nn.Parameter(torch.ones(3))
        optimizer = torch.optim.Adam([weights], lr)
        for _ in range(2):
            weights.grad = torch.arange(3.0)
            optimizer.step()
        return optimizer

    saved, fresh = adam().state_dict(), adam(0.5)
    saved["param_groups"][0].update(lr=float("nan"), betas="x")
    load_optimizer(fresh, saved, tmp_path / "last.pth")
    assert fresh.param_groups[0]["lr"] == 0.5 and fresh.param_groups[0]["betas"] == (0.9, 0.999)

    broken = adam().state_dict()
    del broken["state"][0]["exp_avg"]
    with pytest.raises(CheckpointError, match="lacks a part"):
        load_optimizer(adam(), broken, tmp_path / "last.pth")
    for damage in ({"exp_avg": torch.full((3,), float("inf"))}, {"exp_avg": torch.zeros(4)}, {"step": "x"}, 5):
        broken = adam().state_dict()
        broken["state"][0] = {**broken["state"][0], **damage} if isinstance(damage, dict) else damage
        with pytest.raises(CheckpointError, match="optimiser's state.*--restart"):
            load_optimizer(adam(), broken, tmp_path / "last.pth")
