import re

import pytest

from ltr.common.errors import UserError
from pytracking.analysis.box_files import read_annotations
from pytracking.analysis.tracker_results import external_results, find_results


@pytest.fixture
def results(tmp_path):
    for run in ("atom/ebm", "atom/ebm_000", "atom/ebm_001", "atom/ebm_resnet18", "opencv/csrt"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "Bolt.txt").write_text("1\t2\t3\t4\n")
        (tmp_path / run / "Bolt_time.txt").write_text("0.5\n")
    (tmp_path / "analysis" / "otb").mkdir(parents=True)
    (tmp_path / "analysis" / "otb" / "table.txt").write_text("a table\n")
    (tmp_path / "notes.txt").write_text("mine\n")
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, ["atom/ebm", "atom/ebm_000", "atom/ebm_001", "atom/ebm_resnet18", "opencv/csrt"]),
        (["atom/ebm"], ["atom/ebm", "atom/ebm_000", "atom/ebm_001"]),
        (["atom/ebm_001", "opencv"], ["atom/ebm_001", "opencv/csrt"]),
    ],
)
def test_finds_trackers_and_their_runs(results, wanted, found):
    assert [result.name for result in find_results(results, ["Bolt", "Deer"], wanted)] == found


def test_run_numbers_and_times(results):
    plain, run = find_results(results, ["Bolt"], ["atom/ebm"])[:2]
    assert (plain.run, run.run, run.parameter) == (None, 0, "atom/ebm")
    assert run.times("Bolt").tolist() == [0.5]


def test_wanted_tracker_that_is_not_there(results):
    with pytest.raises(UserError, match=re.escape("no result of atom/default") + ".*atom/ebm"):
        find_results(results, ["Bolt"], ["atom/default"])
    with pytest.raises(UserError, match="no result of atom/ebm"):
        find_results(results, ["Deer"], ["atom/ebm"])
    with pytest.raises(UserError, match="does not exist"):
        find_results(results / "none", ["Bolt"], ["atom/ebm"])
    assert find_results(results / "none", ["Bolt"]) == []


def test_external_folder_without_any_sequence(results):
    with pytest.raises(UserError, match="holds no result"):
        external_results("X", results / "analysis" / "otb", ["Bolt"])
    with pytest.raises(UserError, match="is not a folder"):
        external_results("X", results / "nowhere", ["Bolt"])


def test_hidden_files_and_names_of_other_systems(tmp_path):
    folder = tmp_path / "results" / "atom" / "ebm"
    folder.mkdir(parents=True)
    (folder / "Zu\u0308rich.TXT").write_text("1 2 3 4\n")
    for hidden in (folder / "._Zu\u0308rich.txt", tmp_path / "results" / "atom" / "._ebm"):
        hidden.write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "results" / ".trash" / "ebm").mkdir(parents=True)
    (tmp_path / "results" / ".trash" / "ebm" / "Z\u00fcrich.txt").write_text("1 2 3 4\n")
    (found,) = find_results(tmp_path / "results", ["Z\u00fcrich"])
    assert found.name == "atom/ebm" and found.files["Z\u00fcrich"].name == "Zu\u0308rich.TXT"
    (annotation,) = read_annotations(folder)
    assert annotation.name == "Zu\u0308rich"
