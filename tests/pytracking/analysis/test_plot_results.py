"""PyTracking's functions for notebooks give the numbers of ebm-analyse."""

from dataclasses import replace

import pytest

from ltr.common.environment import get_path
from ltr.common.errors import UserError
from pytracking.analysis.plot_results import plot_results, print_per_sequence_results, print_results
from pytracking.commands.analyse import main as analyse
from pytracking.evaluation import get_dataset, run_dataset
from tests.helpers.evaluation_fakes import FakeSpec, write_sequence


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Two runs of the fake tracker, and the data set."""
    monkeypatch.setenv("EBM_RESULTS", str(tmp_path / "results"))
    write_sequence(tmp_path / "data", "one", 6)
    write_sequence(tmp_path / "data", "two", 5)
    trackers, data = [FakeSpec(run_id=n, seed=n) for n in range(2)], get_dataset(str(tmp_path / "data"))
    for spec in trackers:
        run_dataset(list(data), spec, tmp_path / "results")
    return trackers, data


def test_the_table_is_that_of_the_command(ran, capsys):
    trackers, data = ran
    capsys.readouterr()
    report = print_results(trackers, data, merge_results=True)
    ours = capsys.readouterr().out
    assert analyse(["table", "--dataset_name", str(data.root), "--merge_runs"]) == 0
    assert ours == capsys.readouterr().out and "fake/still (2 runs)" in ours
    assert 0 < report.trackers[0].scalars()["auc"] < 1


def test_only_the_given_trackers_are_scored(ran, capsys):
    trackers, data = ran
    assert [each.name for each in print_results(trackers[1:], data).trackers] == ["fake/still_001"]
    print_per_sequence_results(trackers, data, "mine")
    assert "mine" in capsys.readouterr().out
    with pytest.raises(UserError, match="fake/still has no result on data .* ebm-track"):
        print_results([FakeSpec()], data)


def test_the_arguments_of_pytracking(ran, capsys):
    trackers, data = ran
    named = [replace(spec, display_name="ATOM") for spec in trackers]
    options = {"plot_types": ("success", "prec"), "force_evaluation": True, "plot_bin_gap": 0.05}
    options |= {"skip_missing_seq": False, "exclude_invalid_frames": True}
    report = print_results(named, data, "OTB", merge_results=True, **options)
    assert [each.name for each in report.trackers] == ["ATOM (2 runs)"] and report.exclude_invalid
    assert {each.name for each in print_results(named, data).trackers} == {"ATOM_000", "ATOM_001"}
    with pytest.raises(TypeError, match="no option skip_missing"):
        print_results(named, data, skip_missing=True)
    with pytest.raises(UserError, match=r"0\.05 apart, and not 0\.1"):
        print_results(named, data, plot_bin_gap=0.1)
    (trackers[0].results_folder(get_path("results")) / "one.txt").unlink()
    with pytest.raises(UserError, match="no result of ATOM_000 for 1 of 2 sequences: one"):
        print_results(named, data, skip_missing_seq=False)


@pytest.mark.slow
def test_plots(ran, tmp_path):
    files = plot_results(*ran, "mine")
    assert tmp_path / "results" / "analysis" / "mine" / "success.pdf" in files and all(f.is_file() for f in files)
