"""The command line of ebm-vot."""

import os
import pty
import sys
from importlib.util import find_spec

import pytest

from pytracking.commands import options as command_options
from pytracking.commands import vot
from tests.helpers.evaluation_fakes import FakeSpec


@pytest.fixture
def error(capsys):
    """Calls main, which has to fail with one line; returns it."""

    def error(*arguments):
        with pytest.raises(SystemExit, match="2"):
            vot.main(list(arguments))
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        return line

    return error


def test_a_tracker_that_does_not_exist(error):
    assert "there is no tracker 'atom emb'" in error("atom", "emb")


@pytest.mark.parametrize("options", [[], ["--workspace", "there"]])
def test_without_vot_trax_it_says_what_to_install(error, monkeypatch, tmp_path, options):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "trax", None)
    assert "pip install 'ebm-regression[vot]'" in error("opencv", "csrt", *options)
    assert not list(tmp_path.iterdir())


@pytest.mark.trax
@pytest.mark.skipif(find_spec("trax") is None, reason="vot-trax is not installed: the extra 'vot'")
def test_a_terminal_is_no_toolkit(error, monkeypatch):
    monkeypatch.delenv("TRAX_SOCKET", raising=False)
    parent, child = pty.openpty()
    with os.fdopen(child) as terminal, os.fdopen(parent):
        monkeypatch.setattr(sys, "stdin", terminal)
        assert "stdin is a terminal" in error("opencv", "csrt")


@pytest.mark.trax
@pytest.mark.skipif(find_spec("trax") is None, reason="vot-trax is not installed: the extra 'vot'")
def test_a_tracker_goes_into_a_workspace(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command_options, "TrackerSpec", FakeSpec)
    for option in ("--runid", "--run_id", "--run-id"):
        assert vot.main(["fake", "still", "--workspace", str(tmp_path / "w"), option, "3", "--a.b", "2"]) == 0
        shown = capsys.readouterr().out
        assert f"vot --registry {tmp_path / 'w'} test fake_still_003" in shown and "vot configure" in shown
    text = (tmp_path / "w" / "trackers.ini").read_text()
    assert text.count("[fake_still_003]") == 1 and "pytracking.commands.vot fake still --a.b 2\n" in text
