"""The VOT toolkit's trackers.ini: the entry starts the tracker from anywhere, and the others stay as they are."""

import configparser
import shlex
import sys
from pathlib import Path

import pytest

import pytracking
from ltr.common.errors import UserError
from pytracking.evaluation.running import TrackerSpec
from pytracking.evaluation.vot_workspace import add_tracker, entry, identifier

KEYS = {"label": "A", "protocol": "trax", "command": "/usr/bin/python -m a 100%", "env_PYTHONPATH": "/a"}


def read(file):
    parser = configparser.ConfigParser()
    parser.read(file)
    return {name: dict(parser[name]) for name in parser.sections()}


def test_an_entry_starts_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EBM_WORKSPACE", "mine")
    (tmp_path / "my head.safetensors").touch()
    spec = TrackerSpec("atom", "ebm", "cpu", 3, ("--network", "my head.safetensors", "--refinement.iterations", "5"))
    keys = entry(spec, "pytracking.commands.vot")
    words = shlex.split(keys["command"])
    assert words[:5] == [sys.executable, "-m", "pytracking.commands.vot", "atom", "ebm"]
    assert words[5:] == ["--device", "cpu", "--seed", "3", "--network", str(tmp_path / "my head.safetensors"),
                         "--refinement.iterations", "5"]  # fmt: skip
    assert keys["env_EBM_WORKSPACE"] == str(tmp_path / "mine")
    assert keys["env_PYTHONPATH"] == str(Path(pytracking.__file__).parents[1])


@pytest.mark.parametrize(
    ("options", "name"),
    [({}, "atom_ebm"), ({"run_id": 3}, "atom_ebm_003"), ({"save_as": "five.steps=5"}, "atom_five-steps-5")],
)
def test_the_toolkit_takes_the_name(options, name):
    assert identifier(TrackerSpec("atom", "ebm", **options)) == name


def test_a_new_workspace_gets_the_file(tmp_path):
    file = add_tracker(tmp_path / "new" / "er", "a", KEYS)
    assert read(file) == {"a": {key.lower(): value for key, value in KEYS.items()} | {"command": KEYS["command"]}}


OTHERS = """\
# my trackers
[KCF]  ; fast
command = kcf
    --more

{ours}[ECO]
label = E
"""


def test_other_entries_and_comments_stay_as_they_are_written(tmp_path):
    file = tmp_path / "trackers.ini"
    file.write_text(OTHERS.format(ours=""))
    add_tracker(tmp_path, "a", KEYS)
    assert file.read_text().startswith(OTHERS.format(ours="") + "\n[a]\n")
    file.write_text(OTHERS.format(ours="[a]\n# slow machine\ntimeout = 90\nCOMMAND: old\n    and more\n\n"))
    add_tracker(tmp_path, "a", KEYS)
    start, _, rest = file.read_text().partition("[a]\n")
    assert start == OTHERS.partition("{ours}")[0] and rest.endswith("\n\n[ECO]\nlabel = E\n")
    assert "# slow machine\ntimeout = 90\n" in rest and "old" not in rest and "and more" not in rest
    assert read(file)["a"] == {**{k.lower(): v for k, v in KEYS.items()}, "timeout": "90"}
    text = file.read_text()
    add_tracker(tmp_path, "a", KEYS)
    assert file.read_text() == text


@pytest.mark.parametrize("content", [b"nonsense\n", b"[a]\nx = 1\n[a]\nx = 1\n", b"[a]\n\xff\xfe = 1\n"])
def test_a_file_that_is_no_ini_is_left_alone(tmp_path, content):
    file = tmp_path / "trackers.ini"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"trackers\.ini"):
        add_tracker(tmp_path, "a", KEYS)
    assert file.read_bytes() == content


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--workspace"):
        add_tracker(tmp_path / "file", "a", KEYS)
