"""The command as a user runs it, on tiny trees."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pytracking.commands.analyse import main
from tests.helpers.warm_python import warm_python

ROOT = Path(__file__).resolve().parents[3]
TRUTH = np.tile([10, 20, 40, 30.0], (8, 1))


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Two annotated sequences, with image files that nobody opens, and results of two trackers; the current folder."""
    for name in ("Cat", "Pair-1", "Pair-2"):
        folder = tmp_path / "data" / name.partition("-")[0]
        (folder / "img").mkdir(parents=True, exist_ok=True)
        for i in range(1, len(TRUTH) + 1):
            (folder / "img" / f"{i:04d}.jpg").touch()
        target = f".{name[-1]}" if "-" in name else ""
        np.savetxt(folder / f"groundtruth_rect{target}.txt", TRUTH, "%g", delimiter=",")
        (tmp_path / "truth").mkdir(exist_ok=True)
        np.savetxt(tmp_path / "truth" / f"{name}.txt", TRUTH, "%g", delimiter=",")
        for run, good in {"atom/ebm": 8, "opencv/csrt": 4}.items():
            folder = tmp_path / "tracking_results" / run
            folder.mkdir(parents=True, exist_ok=True)
            boxes = TRUTH + np.where(np.arange(8) < good, 0, 500)[:, None] * [1, 0, 0, 0]
            np.savetxt(folder / f"{name}.txt", boxes, "%.4f", delimiter="\t")
            np.savetxt(folder / f"{name}_time.txt", np.full(8, 0.1))
    for variable in [name for name in os.environ if name.startswith("EBM_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> subprocess.CompletedProcess:
    return warm_python("-m", "pytracking.analysis", *arguments)


def fails(capsys, *arguments: str) -> str:
    """Run the command in this process and return its last line of error."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert "Traceback" not in error
    return error.splitlines()[-1]


def test_data_set_on_disk_to_tables_and_plots(tree):
    done = run("--dataset_name", "data")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "data, 3 sequences"
    assert done.stdout.splitlines()[3].split()[:2] == ["atom/ebm", "95.24"]
    out = tree / "tracking_results" / "analysis" / "data"
    assert json.loads((out / "results.json").read_text())["trackers"]["opencv/csrt"]["overall"]["op50"] == 0.5
    assert (out / "success.png").stat().st_size and (out / "norm_precision.pdf").stat().st_size
    assert (out / "sequences.csv").read_text().splitlines()[1].startswith("atom/ebm,Cat,8,")


def test_annotations_alone_and_external_results(tree):
    (tree / "theirs").mkdir()
    for name, separator in (("Cat", ","), ("Pair_1", " "), ("pair.2", "\t")):
        np.savetxt(tree / "theirs" / f"{name}.txt", TRUTH, "%g", delimiter=separator)
    done = run("table", "--annotations", "truth", "--trackers", "--external", "Their tracker=theirs", "--per_sequence")
    assert done.returncode == 0, done.stderr
    assert "Their tracker  95.24" in done.stdout
    assert "Pair-2" in done.stdout
    assert "atom/ebm" not in done.stdout
    assert not (tree / "tracking_results" / "analysis").exists()


def test_all_that_a_shell_finds_in_a_folder(tree, capsys):
    (tree / "theirs" / "ECO").mkdir(parents=True)
    np.savetxt(tree / "theirs" / "ECO" / "Cat.txt", TRUTH)
    (tree / "theirs" / "README.md").touch()
    (tree / "theirs" / "figures").mkdir()
    every = [str(path) for path in sorted((tree / "theirs").iterdir())]
    main(["table", "--annotations", "truth", "--trackers", *every])
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()[3:]] == ["ECO"]
    assert "note: left out: " in captured.err and "README.md is not a folder" in captured.err
    assert "figures holds no result for any of the 3 sequences" in captured.err
    assert "README.md is not a folder" in fails(capsys, "table", "--annotations", "truth", "--trackers", every[1])


def test_error_is_one_line_and_exit_code_2(tree):
    done = run("table", "--dataset_name", "nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1


def test_several_data_sets_are_scored_as_one(tree, capsys):
    (tree / "more").mkdir()
    (tree / "data" / "Pair").rename(tree / "more" / "Pair")
    main(["--dataset_name", "more", "data/"])
    assert capsys.readouterr().out.splitlines()[0] == "more + data, 3 sequences"
    out = tree / "tracking_results" / "analysis" / "more+data"
    assert json.loads((out / "results.json").read_text())["sequences"] == ["Pair-1", "Pair-2", "Cat"]
    np.savetxt(tree / "more" / "Pair" / "groundtruth_rect.2.txt", TRUTH[:5], "%g", delimiter=",")
    main(["table", "--dataset_name", "data", "more"])
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == "data + more, 2 sequences"
    assert "note: Pair-2 is left out: " in captured.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data", "nowhere"], "no data set 'nowhere'"),
        (["data", "copy"], "the sequence Cat is both in data under data and in data under copy"),
        (["data", "otb", "--dataset_root", "data"], "--dataset_root goes with one data set"),
    ],
)
def test_data_sets_that_do_not_go_together(tree, capsys, arguments, says):
    (tree / "copy").symlink_to(tree / "data")
    assert says in fails(capsys, "table", "--dataset_name", *arguments)


def test_plot_prints_no_table_and_writes_to_out(tree, capsys):
    main(["plot", "--annotations", "truth", "--out", "figures", "--title", "Toy"])
    assert "AUC" not in capsys.readouterr().out
    assert (tree / "figures" / "success.pdf").exists()
    assert json.loads((tree / "figures" / "results.json").read_text())["dataset"] == "Toy"


def test_missing_sequence_is_noted_or_refused(tree, capsys):
    (tree / "tracking_results" / "opencv" / "csrt" / "Cat.txt").unlink()
    main(["table", "--annotations", "truth"])
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == "truth, 2 of 3 sequences"
    assert "no result of opencv/csrt for 1 of 3 sequences: Cat" in captured.err
    assert "Cat" in fails(capsys, "table", "--annotations", "truth", "--missing", "error")


def test_halves_of_the_sequences(tree, capsys):
    main(["table", "--annotations", "truth", "--halves", "--out", "out"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[4].split() == ["opencv/csrt", *["47.62"] * 3, *["50.00"] * 6]
    assert lines[5:7] == ["half A, 2 sequences: Cat, Pair-2", "half B, 1 sequence: Pair-1"]
    assert json.loads((tree / "out" / "results.json").read_text())["halves"]["B"] == ["Pair-1"]
    main(["table", "--annotations", "truth", "--out", "out"])
    assert "half" not in capsys.readouterr().out
    assert "halves" not in json.loads((tree / "out" / "results.json").read_text())
    for name in ("Cat", "Pair-1"):
        (tree / "truth" / f"{name}.txt").unlink()
    assert "half B of truth has none of the 1 scored" in fails(capsys, "table", "--annotations", "truth", "--halves")


def test_sorting_by_name(tree, capsys):
    main(["table", "--annotations", "truth", "--sort", "name", "--external", "A=truth"])
    rows = capsys.readouterr().out.splitlines()[3:]
    assert [row.split()[0] for row in rows] == ["A", "atom/ebm", "opencv/csrt"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--trackers", "atom/default"], "no result of atom/default"),
        (["--results", "nowhere"], "the results folder nowhere does not exist"),
        (["--external", "X=nowhere"], "nowhere is not a folder"),
        (["--external", "nowhere"], "nowhere is not a folder"),
        (["--external", "=truth"], "is not NAME=PATH"),
        (["--external", "A=truth", "A=truth"], "two results are called A"),
        (["--trackers"], "no result on truth"),
        (["--dataset_root", "data"], "--dataset_root goes with --dataset_name"),
        (["--out", "truth/Cat.txt/out"], "cannot be created"),
    ],
)
def test_bad_requests(tree, capsys, arguments, says):
    assert says in fails(capsys, "table", "--annotations", "truth", *arguments)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "Cat.txt is empty"),
        ("1\t2\t3\t4\nlost\n", "Cat.txt, line 2: expected four numbers"),
        ("1\t2\t3\t4\n1\t2\tnan\t4\n", "Cat.txt, line 2: NaN"),
        ("1\t2\t3\n", "Cat.txt, line 1: expected four numbers"),
    ],
)
def test_hostile_result_files(tree, capsys, content, says):
    (tree / "tracking_results" / "atom" / "ebm" / "Cat.txt").write_text(content)
    assert says in fails(capsys, "table", "--annotations", "truth", "--trackers", "atom/ebm")
    for command in ("table", "failures"):  # with another tracker it is left out
        assert main([command, "--annotations", "truth"]) in (None, 0)
        shown = capsys.readouterr()
        assert says in shown.err and "note: atom/ebm is left out: " in shown.err and "opencv/csrt" in shown.out


def test_hostile_annotations(tree, capsys):
    (tree / "truth" / "Cat.txt").write_text("")
    assert "Cat.txt is empty" in fails(capsys, "table", "--annotations", "truth")
    assert "is not a folder" in fails(capsys, "table", "--annotations", "nothing")


@pytest.mark.parametrize(
    "command", ["all", "table", "plot", "report", "coverage", "failures", "pack", "export", "playback"]
)
def test_help_of_a_command_is_one_screen_with_an_example(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith(f"usage: ebm-analyse {command} ") and len(shown) <= 45
    assert "example:" in shown and shown[-1].startswith(f"  ebm-analyse {command} ")
    with pytest.raises(SystemExit) as stop:
        main([*shown[-1].split()[1:], "--unknown"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith("unrecognized arguments: --unknown\n")  # the example itself is understood
