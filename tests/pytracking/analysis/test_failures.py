"""Failures by the command, of boxes whose errors are known."""

import json
from pathlib import Path

import numpy as np
import pytest

from pytracking.analysis.box_files import Annotation
from pytracking.analysis.failures import Failure, find_failures, kinds_of, tracker_failures
from pytracking.analysis.tracker_results import external_results
from pytracking.commands.analyse import main

TRUTH = np.array([100, 100, 40, 30.0])
GOOD, AWAY, LARGE, SMALL, BESIDE = (
    TRUTH + change for change in ([1, 0, 0, 0], [200, 0, 0, 0], [-20, -15, 40, 30], [10, 8, -20, -16], [20, 0, 0, 0])
)


def boxes(*stretches):
    """Boxes from (box, frames) in turn."""
    return np.concatenate([np.tile(box, (count, 1)) for box, count in stretches])


def failures(pred, gt=None, **options):
    return find_failures(pred, np.tile(TRUTH, (len(pred), 1)) if gt is None else gt, **options)


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        (GOOD, -1),
        (AWAY, 0),
        (TRUTH + [40, 0, 0, 0], 0),  # side by side
        (TRUTH + [-200, -10, 400, 20], 1),
        (TRUTH + [-400, -10, 430, 20], 0),  # covers the target, but its centre is further away than the diagonal
        (LARGE, 1),
        (SMALL, 2),
        (BESIDE, 3),
        (TRUTH + [0, 0, 0, 30], -1),  # an overlap of exactly 0.5 is none below 0.5
        (np.zeros(4), 0),
    ],
)
def test_kind_of_a_frame(box, kind):
    assert kinds_of(np.array([box]), np.array([TRUTH])) == kind


def test_stretches_are_counted_from_one_and_short_ones_are_not_listed():
    found = failures(boxes((GOOD, 3), (SMALL, 6), (GOOD, 1), (AWAY, 4), (GOOD, 2), (AWAY, 5)))
    assert found.failures == (Failure(4, 9, 6, "too small", True), Failure(17, 21, 5, "lost", False))
    assert (found.frames, found.failed, found.short) == (21, 11, 4)
    assert found.kinds == {"lost": 5, "too large": 0, "too small": 6, "beside": 0}
    assert [failure.first for failure in failures(boxes((GOOD, 3), (AWAY, 1)), shortest=1).failures] == [4]
    assert failures(boxes((GOOD, 9))).failures == ()


def test_kind_is_that_of_most_frames():
    found = failures(boxes((GOOD, 1), (LARGE, 2), (BESIDE, 3), (AWAY, 2)))
    assert found.failures == (Failure(2, 8, 7, "beside", False),)
    assert found.kinds == {"lost": 2, "too large": 2, "too small": 0, "beside": 3}
    assert failures(boxes((GOOD, 1), (BESIDE, 3), (SMALL, 3))).failures[0].kind == "too small"


@pytest.mark.parametrize("absent", [np.full(4, np.nan), np.zeros(4)])
def test_frames_without_a_target_are_ignored(absent):
    gt = boxes((TRUTH, 4), (absent, 10), (TRUTH, 4), (absent, 3))
    found = failures(boxes((GOOD, 2), (AWAY, 15), (GOOD, 1), (AWAY, 3)), gt)
    assert found.failures == (Failure(3, 17, 5, "lost", True),)
    assert (found.frames, found.failed) == (8, 5)


def test_frames_whose_target_the_benchmark_calls_invisible_are_ignored(tmp_path):
    visible = np.ones(30, bool)
    visible[10:20] = False
    sequence = Annotation("bus-2", np.tile(TRUTH, (30, 1)), visible=visible, scoring="lasot")
    np.savetxt(tmp_path / "bus-2.txt", boxes((GOOD, 10), (AWAY, 10), (GOOD, 10)))
    (result,) = external_results("mine", tmp_path, ["bus-2"])
    (found,) = tracker_failures(result, {"bus-2": sequence}).sequences.values()
    assert (found.frames, found.failures) == (20, ())


def test_the_first_box_is_given_and_a_result_that_ends_early_is_lost():
    gt = np.tile(TRUTH, (10, 1))
    assert failures(boxes((AWAY, 2), (np.zeros(4), 2)), gt).failures == (Failure(2, 10, 9, "lost", False),)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Three sequences with the results of two runs; the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        write("truth", name, boxes((TRUTH, 20)))
        write("results/atom/ebm_001", name, boxes((GOOD, 20)))
    write("results/atom/ebm_000", "a", boxes((GOOD, 10), (BESIDE, 10)))
    write("results/atom/ebm_000", "b", boxes((GOOD, 2), (AWAY, 6), (GOOD, 2), (LARGE, 5), (GOOD, 2), (SMALL, 3)))
    return tmp_path


def write(folder, name, lines):
    Path(folder).mkdir(parents=True, exist_ok=True)
    np.savetxt(Path(folder) / f"{name}.txt", lines, "%.4f", delimiter="\t")


def test_table_and_file(tree, capsys):
    main(["failures", "--annotations", "truth", "--results", "results", "--out", "out"])
    shown = capsys.readouterr()
    assert "note: atom/ebm_000 has no result of c" in shown.err
    first, second = shown.out.split("\n\n")[:2]
    lines = first.splitlines()
    assert lines[0] == "atom/ebm_000: 3 failures of 5 frames or more, in 2 of 2 sequences"
    assert [line.split() for line in lines[3:6]] == [
        ["b", "11/20", "3-8", "6", "lost", "yes"],
        ["b", "11/20", "11-15", "5", "too", "large", "yes"],
        ["a", "10/20", "11-20", "10", "beside", "no"],
    ]
    assert lines[6].endswith(
        "lost 15.0, too large 12.5, too small 0.0, beside 25.0; together 52.5, and 7.5 in shorter ones"
    )
    assert second.splitlines()[0] == "atom/ebm_001: 0 failures of 5 frames or more, in 0 of 3 sequences"
    run, _ = json.loads((tree / "out" / "failures.json").read_text())
    assert run["missing_sequences"] == ["c"] and run["shares"]["beside"] == 0.25
    assert run["sequences"]["a"] == {
        "frames": 20,
        "failed_frames": 10,
        "kinds": {"lost": 0, "too large": 0, "too small": 0, "beside": 10},
        "short": 0,
        "failures": [{"first": 11, "last": 20, "frames": 10, "kind": "beside", "found_again": False}],
    }


def test_shorter_failures_and_several_trackers(tree, capsys):
    where = ["failures", "--annotations", "truth", "--results", "results", "--trackers", "atom/ebm_000"]
    main([*where, "--shortest", "3", "--external", "Other=truth"])
    shown = capsys.readouterr().out
    assert "18-20" in shown and "together 60.0, and 0.0 in shorter ones" in shown
    assert "Other: 0 failures of 3 frames" in shown and "ebm_001" not in shown


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--shortest", "0"], "--shortest: '0' is not a whole number from 1 on"),
        (["--shortest", "x"], "'x' is not a whole number"),
        (["--trackers", "atom/default"], "no result of atom/default"),
        (["--trackers"], "no result on truth lies in results"),
        (["--out", "truth/a.txt/out"], "cannot be created"),
    ],
)
def test_bad_requests(tree, capsys, options, says):
    with pytest.raises(SystemExit, match="2"):
        main(["failures", "--annotations", "truth", "--results", "results", *options])
    assert says in capsys.readouterr().err


def test_bad_files_are_named(tree, capsys):
    where = ["failures", "--annotations", "truth", "--results", "results"]
    (tree / "results/atom/ebm_000/a.txt").write_text("1\t2\tnan\t4\n")
    main(where)  # the others are listed all the same
    shown = capsys.readouterr()
    assert "a.txt, line 1: NaN" in shown.err and "atom/ebm_000 is left out" in shown.err
    with pytest.raises(SystemExit, match="2"):
        main([*where, "--trackers", "atom/ebm_000"])
    assert "a.txt, line 1: NaN" in capsys.readouterr().err
    write("results/atom/ebm_000", "a", boxes((GOOD, 20)))
    write("truth", "a", np.zeros((20, 4)))
    with pytest.raises(SystemExit, match="2"):
        main(where)
    assert "a.txt cannot be compared with the ground truth of a: no frame" in capsys.readouterr().err
