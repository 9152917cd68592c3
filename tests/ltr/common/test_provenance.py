"""Records of how a result was made."""

import enum
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from ltr.common import provenance as module
from ltr.common.files import write_json, write_text
from ltr.common.plain import to_plain
from ltr.common.provenance import file_hash, provenance


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Inner:
    step: tuple[float, float] = (1e-3, 2e-3)
    path: Path = Path("a/b")


@dataclass
class Settings:
    inner: Inner = field(default_factory=Inner)
    colour: Colour = Colour.RED
    sigmas: torch.Tensor = field(default_factory=lambda: torch.tensor([0.5, 1.5]))
    count: np.int64 = np.int64(3)
    limit: float = float("inf")
    names: frozenset = frozenset({"b", "a"})
    function: object = len


def test_settings_become_plain_and_survive_json():
    plain = to_plain(Settings())
    assert plain == {
        "inner": {"step": [1e-3, 2e-3], "path": os.path.join("a", "b")},
        "colour": "red",
        "sigmas": [0.5, 1.5],
        "count": 3,
        "limit": "inf",
        "names": ["a", "b"],
        "function": repr(len),
    }
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_a_record_says_what_is_needed_to_repeat_the_run(tmp_path):
    record = provenance(Settings(), seed=5, device="cpu", weights="abc")
    assert record["torch"] == torch.__version__
    assert record["seed"] == 5 and record["weights"] == "abc"
    assert record["device"].startswith("cpu (") and record["cores"] >= 1
    assert record["settings"]["count"] == 3
    write_json(tmp_path / "run.json", record)
    assert json.loads((tmp_path / "run.json").read_text()) == record


def test_the_commit_is_that_of_this_code_and_of_no_other_repository(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "another project")
    copy = tmp_path / "site-packages" / "provenance.py"
    copy.parent.mkdir()
    copy.write_text("1\n")
    monkeypatch.setattr(module, "__file__", str(copy))
    assert module.git_commit() is None  # lies in a repository that does not track it
    git("add", "-A")
    git("commit", "-q", "-m", "now it does")
    commit = module.git_commit()
    assert len(commit) == 40
    copy.write_text("2\n")
    assert module.git_commit() == commit + "+changes"


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "a.txt"
    write_text(file, "old")
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError("cut off")))
    with pytest.raises(OSError):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_hash_of_weights(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_hash(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
