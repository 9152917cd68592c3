"""The command line of ebm-track."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from pytracking.commands import options as command_options
from pytracking.commands import track
from pytracking.commands.analyse import main as analysis
from tests.helpers.evaluation_fakes import INTERRUPTED, RAISES, FakeSpec, write_sequence
from tests.helpers.warm_python import warm_python

ROOT = Path(track.__file__).resolve().parents[2]


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def call(data, tmp_path, monkeypatch):
    """Calls main with the fake tracker; what it was made from is then in `call.spec`."""

    def spec(*arguments):
        call.spec = FakeSpec(*arguments)
        return call.spec

    def call(*options, tracker=("fake", "still")):
        where = ["--dataset_name", str(data), "--results", str(tmp_path / "results")]
        return track.main([*tracker, *where, *options])

    monkeypatch.setattr(command_options, "TrackerSpec", spec)
    return call


def test_a_whole_run(call, data, tmp_path, capsys):
    write_sequence(data, "one", 3)
    write_sequence(data, "two", 3)
    assert call() == 0
    shown = capsys.readouterr().out
    assert "data: 2 targets found" in shown and "2 finished at" in shown
    assert str(tmp_path / "results" / "fake" / "still") in shown
    assert call() == 0
    assert "2 finished before" in capsys.readouterr().out


def test_all_other_arguments_are_settings_of_the_tracker(call, data, tmp_path):
    write_sequence(data, "one", 3)
    write_sequence(data, "two", 3)
    options = "--runid 2 --sequence two --a.b -3 --c.d 1 2 --seed 4 --device cpu --flag --e=5"
    assert call(*options.split()) == 0
    assert call.spec.overrides == ("--a.b", "-3", "--c.d", "1", "2", "--flag", "--e=5")
    assert (call.spec.seed, call.spec.device, call.spec.run_id) == (4, "cpu", 2)
    folder = tmp_path / "results" / "fake" / "still_002"
    assert [path.name for path in sorted(folder.glob("*.txt"))] == ["two.txt", "two_time.txt"]
    assert "--a.b" in json.loads((folder / "run.json").read_text())["made_with"]["settings"]["overrides"]


def test_variations_of_the_settings_stand_side_by_side(call, data, tmp_path, capsys):
    write_sequence(data, "one", 3)
    results = ["--results", str(tmp_path / "results")]
    assert call() == 0
    with pytest.raises(SystemExit, match="2"):
        call("--every", "2")
    assert "--save_as" in capsys.readouterr().err
    for seed in (0, 1):
        assert call("--every", "2", "--save_as", "every-2.0", "--seed", str(seed), "--runid", str(seed)) == 0
    assert call("--every", "3", "--save_as", "every3") == 0
    folder = tmp_path / "results" / "fake"
    assert sorted(path.name for path in folder.iterdir()) == ["every-2.0_000", "every-2.0_001", "every3", "still"]
    made_with = json.loads((folder / "every3" / "run.json").read_text())["made_with"]
    assert (made_with["param"], made_with["settings"]["overrides"]) == ("still", ["--every", "3"])
    capsys.readouterr()
    analysis(["table", "--dataset_name", str(data), *results, "--merge_runs"])
    rows = capsys.readouterr().out.splitlines()[3:]
    assert [row.split("  ")[0] for row in rows] == ["fake/every-2.0 (2 runs)", "fake/every3", "fake/still"]
    with pytest.raises(SystemExit, match="2"):  # a name that is taken mixes nothing
        call("--every", "4", "--save_as", "still")
    assert "this run cannot add to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is no name for a results folder"),
        ("a/b", "is no name for a results folder"),
        ("..", "is no name for a results folder"),
        ("a\\b", "is no name for a results folder"),
        (".hidden", "is no name for a results folder"),
        ("two words", "is no name for a results folder"),
        ("every_002", "run 002 of every: give --save_as every --runid 2, or another name"),
    ],
)
def test_a_name_that_no_results_folder_can_have(call, data, tmp_path, capsys, name, says):
    write_sequence(data, "one", 3)
    with pytest.raises(SystemExit, match="2"):
        call("--save_as", name)
    (shown,) = capsys.readouterr().err.splitlines()
    assert shown.startswith("error: --save_as ") and says in shown
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("wanted", [["two", "one"], ["1", "0"], ["two", "0", "1"]])
def test_sequences_by_name_and_by_index(call, data, tmp_path, wanted):
    for name in ("one", "three", "two"):
        write_sequence(data, name, 3)
    expected = {"two": {"one", "two"}, "1": {"one", "three"}}[wanted[0]] | ({"three"} if len(wanted) == 3 else set())
    assert call("--sequence", *wanted) == 0
    assert {path.stem for path in (tmp_path / "results").rglob("*[!e].txt")} | (
        {path.stem for path in (tmp_path / "results").rglob("*e.txt") if "_time" not in path.stem}
    ) == expected


def test_several_data_sets_are_run_as_one(call, data, tmp_path, capsys):
    write_sequence(data, "one", 3)
    write_sequence(tmp_path / "more", "two", 3)
    write_sequence(tmp_path / "more", "bad", 3, lines=5)
    assert call("--dataset_name", str(data), str(tmp_path / "more"), "--a.b", "2") == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("data: 1 targets") and shown[1].startswith("more: 1 targets")
    assert "2 finished at" in shown[-3] and shown[-2].startswith("failed: bad: ")
    assert {path.stem for path in (tmp_path / "results" / "fake" / "still").glob("*_time.txt")} == {
        "one_time",
        "two_time",
    }
    with pytest.raises(SystemExit, match="2"):
        call("--dataset_name", str(data), "otbb")
    assert "no data set 'otbb' (did you mean otb?)" in capsys.readouterr().err


def test_failures_give_exit_code_one_and_are_named_at_the_end(call, data, capsys):
    write_sequence(data, "bad", 4, height=RAISES)
    write_sequence(data, "worse", 4, lines=3)
    write_sequence(data, "good", 4)
    assert call() == 1
    end = capsys.readouterr().out.splitlines()[-4:]
    assert "1 finished" in end[0] and "2 failed" in end[0]
    assert any(line.startswith("failed: bad: ValueError") for line in end)
    assert any(line.startswith("failed: worse: ") and "3 lines" in line for line in end)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sequence", "oen"], "did you mean one"),
        (["--sequence", "7"], "numbered from 0"),
        (["--dataset_name", "otbb"], "did you mean otb"),
        (["--dataset_name", "/nowhere/at/all"], "does not exist"),
        (["--dataset_name", "otb", "nfs", "--dataset_root", "/"], "--dataset_root goes with one data set"),
        (["--results", "/proc/nowhere"], "cannot be written"),
    ],
)
def test_user_errors_are_one_line_without_a_traceback(call, data, capsys, options, words):
    write_sequence(data, "one", 3)
    with pytest.raises(SystemExit) as stop:
        call(*options)
    assert stop.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ") and words in shown and "Traceback" not in shown


def test_an_unknown_tracker_is_reported_before_data_is_read(monkeypatch, capsys):
    for arguments in (["atmo", "ebm"], ["atom", "nonsense"]):
        with pytest.raises(SystemExit) as stop:
            track.main([*arguments, "--dataset_name", "/nowhere"])
        assert stop.value.code == 2
        shown = capsys.readouterr().err
        assert shown.startswith("error: ") and "atom" in shown and "nowhere" not in shown


@pytest.mark.parametrize("options", [["--threads", "-1"], ["--runid", "x"], ["extra"]])
def test_arguments_of_the_wrong_kind(call, data, capsys, options):
    write_sequence(data, "one", 3)
    with pytest.raises(SystemExit) as stop:
        call(*options)
    assert stop.value.code == 2
    assert options[-1] in capsys.readouterr().err


def test_interrupt_gives_130(call, data, capsys):
    write_sequence(data, "a", 3)
    write_sequence(data, "b", 3, height=INTERRUPTED)
    with pytest.raises(SystemExit) as stop:
        call()
    assert stop.value.code == 130
    assert "1 of 2 sequences were finished and stay" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [[str(ROOT / "pytracking" / "run_tracker.py")], ["-m", "pytracking.commands.track"]],
    ids=["script", "module"],
)
def test_it_starts_as_a_script_and_as_a_module(command, tmp_path):
    # As a script, from another folder and without the package on the path.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    where = ROOT if "-m" in command else tmp_path
    arguments = ["opencv", "csrt", "--dataset_name", str(tmp_path / "nowhere")]
    done = warm_python(*command, *arguments, cwd=where, env=environment)
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: the data set folder {tmp_path / 'nowhere'} does not exist"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(cv2, "TrackerKCF"), reason="needs opencv-contrib-python: the extra 'compare'")
def test_a_real_tracker_on_workers_of_a_script(shared_data, tmp_path):
    options = ["--dataset_name", "otb", "--dataset_root", str(shared_data / "otb"), "--results", str(tmp_path)]
    command = [str(ROOT / "pytracking" / "run_tracker.py"), "opencv", "kcf", *options]
    command += ["--sequence", "Deer", "Football1", "--threads", "2"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "opencv" / "kcf"
    assert len((folder / "Deer.txt").read_text().splitlines()) == 71
    assert len((folder / "Football1_time.txt").read_text().splitlines()) == 74
    assert (folder / "Deer.txt").read_text().splitlines()[0] == "306.0000\t5.0000\t95.0000\t65.0000"
    assert json.loads((folder / "run.json").read_text())["made_with"]["settings"]["algorithm"] == "kcf"
