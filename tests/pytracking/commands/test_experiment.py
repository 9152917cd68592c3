"""Experiments: what a function returns is run, whether it is written for this package or for PyTracking."""

import random
import re
import sys

import pytest

from pytracking.commands import experiment
from pytracking.evaluation import Experiment, get_dataset, runs, trackerlist
from pytracking.evaluation.experiment import load_experiment
from tests.helpers.evaluation_fakes import RAISES, write_sequence

OWN = """
from pytracking.evaluation import Experiment
from tests.helpers.evaluation_fakes import FakeSpec

def two_runs():
    return Experiment([FakeSpec(seed=n, run_id=n) for n in range(2)], [{data!r}, {more!r}])

def one_refused():
    return Experiment([FakeSpec(overrides=("refused",), save_as="bad"), FakeSpec()], [{data!r}])

def nothing():
    return Experiment([], [{data!r}])

def alike():
    return Experiment([FakeSpec(), FakeSpec(seed=1)], [{data!r}])

def odd():
    return 3
"""
PYTRACKINGS = """
from pytracking.evaluation import Tracker, get_dataset, trackerlist

def old():
    trackers = trackerlist('atom', 'default', range(3)) + [Tracker('opencv', 'csrt')]
    return trackers, get_dataset({data!r}, {more!r})
"""


@pytest.fixture
def call(tmp_path):
    """Calls main with a function of a file of experiments."""
    data, more = str(tmp_path / "data"), str(tmp_path / "more")
    write_sequence(tmp_path / "data", "one", 3)
    write_sequence(tmp_path / "more", "two", 4)
    for name, text in {"own.py": OWN, "old.py": PYTRACKINGS}.items():
        (tmp_path / name).write_text(text.format(data=data, more=more))
    yield lambda name, *options: experiment.main(
        [str(tmp_path / "own.py"), name, "--results", str(tmp_path / "results"), *options]
    )
    sys.modules.pop("experiments_in_own", None)
    sys.modules.pop("experiments_in_old", None)


def test_every_tracker_runs_on_every_data_set_and_once(call, tmp_path, capsys):
    assert call("two_runs") == 0
    folders = sorted((tmp_path / "results" / "fake").iterdir())
    assert [folder.name for folder in folders] == ["still_000", "still_001"]
    assert all({"one.txt", "two.txt"} <= {file.name for file in folder.iterdir()} for folder in folders)
    capsys.readouterr()
    assert call("two_runs") == 0
    assert capsys.readouterr().out.count("2 finished before") == 2


def test_a_tracker_that_cannot_be_made_does_not_stop_the_others(call, tmp_path, capsys):
    assert call("one_refused") == 1
    assert (tmp_path / "results" / "fake" / "still" / "one.txt").is_file()
    assert "failed: the checkpoint x.safetensors is corrupt" in capsys.readouterr().err


def test_a_failed_sequence_gives_exit_code_one(call, tmp_path):
    write_sequence(tmp_path / "data", "bad", 4, height=RAISES)
    assert call("two_runs") == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [("nothing", "needs trackers"), ("alike", "two trackers .* write into fake/still"), ("odd", "returns a int"),
     ("absent", "no experiment 'absent'; it has two_runs, one_refused")],
)  # fmt: skip
def test_what_is_no_experiment(call, name, says, capsys):
    with pytest.raises(SystemExit, match="2"):
        call(name)
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(says, line)


@pytest.mark.parametrize("module", ["nowhere", "nowhere.py"])
def test_a_module_that_does_not_exist(module, capsys):
    with pytest.raises(SystemExit, match="2"):
        experiment.main([module, "x"])
    assert capsys.readouterr().err.startswith("error: there is no ")


def test_the_command_of_pytrackings_readme():
    found = load_experiment("myexperiments", "atom_nfs_uav")
    assert found.trackers == trackerlist("atom", "default", range(3)) and list(found.datasets) == ["nfs", "uav"]


def test_an_experiment_written_for_pytracking(call, tmp_path):
    found = load_experiment(str(tmp_path / "old.py"), "old")
    names = [str(tracker.results_folder(tmp_path).relative_to(tmp_path)) for tracker in found.trackers]
    assert names == ["atom/default_000", "atom/default_001", "atom/default_002", "opencv/csrt"]
    assert [tracker.seed for tracker in found.trackers] == [0, 1, 2, 0]
    assert [sequence.name for sequence in found.sequences()] == ["one", "two"]


def test_a_file_that_is_called_like_a_library_does_not_take_its_place(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "random", random)  # put back, whatever becomes of it
    file = tmp_path / "random.py"
    file.write_text("from pytracking.experiments.myexperiments import atom_nfs_uav")
    assert len(load_experiment(str(file), "atom_nfs_uav").trackers) == 3
    assert sys.modules["random"] is random


def test_the_example_is_that_of_the_paper():
    found = load_experiment("paper", "otb_nfs")
    assert len(found.trackers) == 9 and found.datasets == ["otb", "nfs"]


def test_names_of_pytracking(call, tmp_path):
    assert len(get_dataset(str(tmp_path / "data"), str(tmp_path / "more"))) == 2
    assert len(get_dataset(str(tmp_path / "data"))) == 1
    assert trackerlist("atom", "ebm", range(2)) == runs("atom", "ebm", 2)
    assert trackerlist("atom", "atom_prob_ml", 3)[0].param == "ebm"
    assert trackerlist("atom", "ebm") == runs("atom", "ebm") and Experiment(runs("atom", "ebm"), ["otb"])
