"""Results as other tools read them."""

from pathlib import Path

import numpy as np
import pytest

from pytracking.commands.analyse import main
from tests.helpers.result_trees import moving_boxes, write_otb, write_results

NAMES = ("Deer", "Jogging-1", "Jogging-2")
LENGTHS = {"Deer": 71, "Jogging-1": 307, "Jogging-2": 307}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Three targets of OTB and two runs of a tracker, in the current folder."""
    truths = {name: moving_boxes(LENGTHS[name], i) for i, name in enumerate(NAMES)}
    write_otb(tmp_path / "otb", truths)
    for run in range(2):
        boxes = {name: truth + (np.arange(len(truth)) > 0)[:, None] * [run, 1, 0, 0] for name, truth in truths.items()}
        write_results(tmp_path / "results" / "atom" / f"ebm_{run:03d}", boxes, seconds=0.1)
    monkeypatch.setenv("EBM_OTB", str(tmp_path / "otb"))
    monkeypatch.setenv("EBM_RESULTS", str(tmp_path / "results"))
    monkeypatch.chdir(tmp_path)
    return truths


def files(folder: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.txt")}


def test_the_got10k_toolkit_reports_on_its_format(tree, tmp_path, monkeypatch, capsys):
    experiments = pytest.importorskip("got10k.experiments.otb")
    datasets = pytest.importorskip("got10k.datasets.otb")
    main(["export", "--format", "got10k", "--out", "toolkit/OTB2015"])
    assert files("toolkit/OTB2015") == {
        f"atom_ebm_00{run}/{file}"
        for run in range(2)
        for name in ("Deer", "Jogging.1", "Jogging.2")
        for file in (f"{name}.txt", f"times/{name}_time.txt")
    }
    monkeypatch.setattr(datasets.OTB, "_OTB__version_dict", {2015: ["Deer", "Jogging"]})
    monkeypatch.setattr(datasets, "download", None)
    experiment = experiments.ExperimentOTB(str(tmp_path / "otb"), 2015, "toolkit", "reports")
    monkeypatch.setattr(experiment, "plot_curves", lambda *arguments: None)
    theirs = experiment.report(["atom_ebm_000", "atom_ebm_001"])
    capsys.readouterr()
    main(["table", "--sort", "name"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[3:]]
    for row, tracker in zip(rows, ("atom_ebm_000", "atom_ebm_001"), strict=True):
        overall = theirs[tracker]["overall"]
        assert row[0] == tracker.replace("_", "/", 1)
        assert float(row[1]) == pytest.approx(100 * overall["success_score"], abs=0.006)
        assert float(row[4]) == pytest.approx(100 * overall["precision_score"], abs=0.006)
        assert overall["speed_fps"] == pytest.approx(10)


def test_pysots_format(tree):
    main(["export", "--format", "pysot", "--out", "pysot", "--trackers", "atom/ebm_001"])
    assert files("pysot") == {f"atom_ebm_001/{name}.txt" for name in NAMES}
    lines = Path("pysot/atom_ebm_001/Deer.txt").read_text().splitlines()  # as pysot's Video.load_tracker reads it
    rows = [list(map(float, line.strip().split(","))) for line in lines]
    np.testing.assert_allclose(rows, tree["Deer"] + (np.arange(71) > 0)[:, None] * [1, 1, 0, 0])


@pytest.mark.parametrize("integer", [False, True])
def test_pytrackings_format(tree, integer):
    main(["export", "--format", "pytracking", "--out", "pt", *["--integer"] * integer])
    assert files("pt") == {
        f"atom/ebm_00{run}/{name}{end}.txt"
        for run in range(2)
        for name in ("Deer", "Jogging_1", "Jogging_2")
        for end in ("", "_time")
    }
    rows = np.loadtxt("pt/atom/ebm_000/Jogging_1.txt", delimiter="\t")
    expected = tree["Jogging-1"] + (np.arange(307) > 0)[:, None] * [0, 1, 0, 0]
    np.testing.assert_allclose(rows, np.trunc(expected) if integer else expected)
    assert ("." in Path("pt/atom/ebm_000/Deer.txt").read_text()) is not integer


def test_results_of_others_change_their_format_and_what_is_missing_is_said(tree, tmp_path, capsys):
    write_results(tmp_path / "ECO", {"jogging.2": tree["Jogging-2"], "Deer": tree["Deer"][1:]})
    main(["export", "--format", "pytracking", "--out", "pt", "--trackers", "./ECO"])
    shown = capsys.readouterr()
    assert files("pt") == {f"ECO/default/{name}{end}.txt" for name in ("Deer", "Jogging_2") for end in ("", "_time")}
    assert len(np.loadtxt("pt/ECO/default/Deer.txt")) == 71  # the line of the first frame is put back
    assert "ECO has no result of 1 of 3 sequences: Jogging-1" in shown.err and "one line short" in shown.err
    assert shown.out.replace("\\", "/").endswith("written: pt/ECO/default\n")


def test_repetitions_of_others_become_runs(tree, tmp_path):
    for i in (1, 2):
        (tmp_path / "ECO" / "Deer").mkdir(parents=True, exist_ok=True)
        np.savetxt(tmp_path / "ECO" / "Deer" / f"Deer_00{i}.txt", tree["Deer"], delimiter=",")
    main(["export", "--format", "pytracking", "--out", "pt", "--trackers", "./ECO"])
    assert files("pt") == {"ECO/default_001/Deer.txt", "ECO/default_002/Deer.txt"}


def test_one_name_for_two_trackers_and_a_folder_that_cannot_be(tree, tmp_path, capsys):
    for name in ("x_y", "x/y"):
        write_results(tmp_path / "raw" / name, {"Deer": tree["Deer"]})
    for arguments, says in (
        (["--out", "o", "--trackers", "./raw"], "would both be"),
        (["--out", "raw/x_y/Deer.txt", "--trackers", "./raw/x"], "cannot be created"),
        (["--out", "o", "--trackers", "atom/none"], "no result of atom/none"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["export", "--format", "pysot", *arguments])
        assert says in capsys.readouterr().err.splitlines()[-1]
