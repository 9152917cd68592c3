"""Checkpoint files: whole or not at all, and data only."""

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
    read_checkpoint,
    read_latest,
    save_checkpoint,
)

STATE = {
    "model": {"w": torch.arange(2000.0)},
    "position": {"epoch": 1, "step": 2},
    "settings": {"lr": 1e-3, "none": None},
}


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil_was_here",)


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
    save_checkpoint(tmp_path / "last.pth", STATE)
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
