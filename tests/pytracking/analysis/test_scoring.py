import json

import numpy as np
import pytest

from ltr.common.errors import UserError
from pytracking.analysis import Annotation, external_results, find_results, score_results
from pytracking.analysis.scoring import split_in_halves
from pytracking.analysis.tables import markdown_table, sequence_table, sequences_csv, tracker_table, write_tables

TRUTH = np.tile([10, 20, 40, 30.0], (10, 1))


@pytest.fixture
def sequences():
    return [Annotation(name, TRUTH) for name in ("Bolt", "Deer")]


def write(folder, name, good, times=None):
    """Boxes that are right in the first `good` frames and far off after them."""
    folder.mkdir(parents=True, exist_ok=True)
    boxes = TRUTH + np.where(np.arange(len(TRUTH)) < good, 0, 500)[:, None] * [1, 0, 0, 0]
    np.savetxt(folder / f"{name}.txt", boxes, delimiter="\t")
    if times is not None:
        np.savetxt(folder / f"{name}_time.txt", times)


@pytest.fixture
def results(tmp_path):
    for run, good in (("atom/default", (6, 4)), ("atom/ebm_000", (10, 8)), ("atom/ebm_001", (8, 8))):
        for name, count in zip(("Bolt", "Deer"), good, strict=True):
            write(tmp_path / run, name, count, times=[1.0] + 9 * [0.25])
    return tmp_path


def test_rates_are_per_sequence_then_averaged(results, sequences):
    write(results / "atom/default", "Deer", 4)
    long = [sequences[0], Annotation("Deer", np.tile(TRUTH, (10, 1)))]  # ten times as long: 4 good of 100
    (score,) = score_results("otb", long, find_results(results, ["Bolt", "Deer"], ["atom/default"])).trackers
    assert score.overall.op50 == pytest.approx((0.6 + 0.04) / 2)


def test_report_is_sorted_and_speeds_are_averaged_over_sequences(results, sequences):
    np.savetxt(results / "atom/ebm_000" / "Deer_time.txt", 2 * np.array([1.0] + 9 * [0.25]))
    report = score_results("otb", sequences, find_results(results, ["Bolt", "Deer"]))
    assert [tracker.name for tracker in report.trackers] == ["atom/ebm_000", "atom/ebm_001", "atom/default"]
    assert report.trackers[0].overall.op75 == pytest.approx(0.9)
    assert report.trackers[0].fps == pytest.approx((10 / 3.25 + 10 / 6.5) / 2)
    assert [t.name for t in report.sorted("name").trackers] == ["atom/default", "atom/ebm_000", "atom/ebm_001"]
    with pytest.raises(ValueError, match="sort key"):
        report.sorted("speed")


def test_runs_are_merged_with_their_spread(results, sequences):
    found = find_results(results, ["Bolt", "Deer"])
    report = score_results("otb", sequences, found, merge_runs=True)
    merged, single = report.trackers
    assert (merged.name, merged.runs) == ("atom/ebm (2 runs)", 2)
    assert merged.overall.op50 == pytest.approx((0.9 + 0.8) / 2)
    assert merged.sequences["Bolt"].curves.op50 == pytest.approx(0.9)
    assert merged.std["op50"] == pytest.approx(np.std([0.9, 0.8], ddof=1))
    assert (single.name, single.std) == ("atom/default", None)
    assert "85.00±7.07" in tracker_table(report)


def test_merged_runs_have_their_spread_by_sequence_too(results, sequences):
    found = find_results(results, ["Bolt", "Deer"])
    report = score_results("otb", sequences, found, merge_runs=True)
    of_all = sequence_table(report, "op50").splitlines()
    spread = f"{100 * np.std([1.0, 0.8], ddof=1):.2f}"  # of Bolt; Deer has 8 good frames in both runs
    assert of_all[3].split() == ["Bolt", f"90.00±{spread}*", "60.00"]
    assert of_all[4].split() == ["Deer", "80.00±0.00*", "40.00"]
    assert of_all[5].split() == ["mean", "85.00±7.07", "50.00"]
    assert sequence_table(report, "fps").splitlines()[3].split() == ["Bolt", "3.1*", "3.1*"]
    alone = score_results("otb", sequences, found[1:], merge_runs=True)
    row = sequence_table(alone).splitlines()[3].split()
    assert row[0] == "Bolt" and row[2] == f"90.00±{spread}" and row[-2:] == ["3.1", "10"]
    document = report.to_json()["trackers"]
    assert document["atom/ebm (2 runs)"]["sequences"]["Bolt"]["std"]["op50"] == pytest.approx(np.std([1, 0.8], ddof=1))
    assert "std" not in document["atom/default"]["sequences"]["Bolt"]


def test_halves_go_by_the_order_of_names():
    names = ["car10", "Bolt", "Car2", "dog", "Bolt2", "ball"]
    assert split_in_halves(names) == {"A": ("ball", "Bolt2", "car10"), "B": ("Bolt", "Car2", "dog")}
    assert split_in_halves(reversed(names)) == split_in_halves(names)
    assert split_in_halves(["1", "a1b2", "a1b10", "a"]) == {"A": ("1", "a1b2"), "B": ("a", "a1b10")}


def test_halves_are_scored_each_by_itself_with_the_spread_over_runs(results, tmp_path):
    for run in ("atom/default", "atom/ebm_000", "atom/ebm_001"):
        write(results / run, "Zebra", 10 if run == "atom/ebm_001" else 5)
    names = ["Zebra", "Bolt", "Deer"]
    sequences = [Annotation(name, TRUTH) for name in names]
    report = score_results("otb", sequences, find_results(results, names), merge_runs=True, halves=True)
    assert report.halves == {"A": ("Bolt", "Zebra"), "B": ("Deer",)}
    merged, single = report.trackers
    mean, std = merged.over(report.halves["A"])  # runs: 10 and 5 good frames of 10, then 8 and 10
    assert mean["op50"] == pytest.approx((0.75 + 0.9) / 2)
    assert std["op50"] == pytest.approx(np.std([0.75, 0.9], ddof=1))
    assert single.over(report.halves["B"])[1] is None
    lines = tracker_table(report).splitlines()
    assert lines[1].split("  ")[0] == "Tracker"
    assert lines[1].split()[1:] == "AUC AUC A AUC B OP50 OP50 A OP50 B OP75 OP75 A OP75 B".split()
    assert lines[3].split()[6:9] == ["81.67±7.07", "82.50±10.61", "80.00±0.00"]
    assert lines[4].split()[4:7] == ["50.00", "55.00", "40.00"]
    assert lines[-2:] == ["half A, 2 sequences: Bolt, Zebra", "half B, 1 sequence: Deer"]
    write_tables(report, tmp_path / "out")
    assert "half B, 1 sequence: Deer" in (tmp_path / "out" / "table.md").read_text()
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["halves"] == {"A": ["Bolt", "Zebra"], "B": ["Deer"]}
    half = document["trackers"]["atom/ebm (2 runs)"]["halves"]["A"]
    assert (half["op50"], half["std"]["op50"]) == (mean["op50"], std["op50"])


def test_halves_do_not_depend_on_which_results_there_are(results, sequences):
    (results / "atom/default" / "Bolt.txt").unlink()
    for run in ("atom/default", "atom/ebm_000", "atom/ebm_001"):
        write(results / run, "Zebra", 5)
    found = find_results(results, ["Bolt", "Deer", "Zebra"])
    report = score_results("otb", [*sequences, Annotation("Zebra", TRUTH)], found, halves=True)
    assert report.halves == {"A": ("Zebra",), "B": ("Deer",)}
    with pytest.raises(UserError, match="half A of otb has none of the 1 scored sequences.*--halves"):
        score_results("otb", sequences, found, halves=True)


def test_a_missing_sequence_is_not_scored_and_is_named(results, sequences):
    (results / "atom/default" / "Deer.txt").unlink()
    found = find_results(results, ["Bolt", "Deer"])
    report = score_results("otb", sequences, found)
    assert report.sequences == ("Bolt",)
    assert report.missing == {"atom/default": ("Deer",)}
    assert all(list(tracker.sequences) == ["Bolt"] for tracker in report.trackers)
    assert "no result of atom/default for 1 of 2 sequences: Deer" in report.notes
    assert "1 of 2 sequences" in tracker_table(report)
    with pytest.raises(UserError, match="atom/default.*Deer.*--missing skip"):
        score_results("otb", sequences, found, missing="error")


def test_nothing_in_common_is_refused(results, sequences):
    (results / "atom/default" / "Deer.txt").unlink()
    (results / "atom/ebm_000" / "Bolt.txt").unlink()
    with pytest.raises(UserError, match="no sequence of otb has a result of every tracker"):
        score_results("otb", sequences, find_results(results, ["Bolt", "Deer"]))
    with pytest.raises(UserError, match="no result to score"):
        score_results("otb", sequences, [])


def test_short_and_long_results_are_noted(results, sequences):
    np.savetxt(results / "atom/default" / "Bolt.txt", TRUTH[:7])
    np.savetxt(results / "atom/default" / "Deer.txt", np.tile(TRUTH, (2, 1)))
    report = score_results("otb", sequences, find_results(results, ["Bolt", "Deer"], ["atom/default"]))
    assert any("ends early" in note and "Bolt (3 boxes)" in note for note in report.notes)
    assert any("surplus" in note and "Deer (10 boxes)" in note for note in report.notes)


def test_frames_without_a_target_are_noted(results):
    absent = TRUTH.copy()
    absent[3] = 0
    sequences = [Annotation("Bolt", absent)]
    found = find_results(results, ["Bolt"], ["atom/ebm_000"])
    assert any("Bolt (1)" in note for note in score_results("otb", sequences, found).notes)
    assert score_results("otb", sequences, found, exclude_invalid=True).notes == ()


def test_ground_truth_without_a_target_and_equal_names_are_refused(results):
    found = find_results(results, ["Bolt"], ["atom/default"])
    with pytest.raises(UserError, match=r"Bolt\.txt cannot be scored.*no frame"):
        score_results("otb", [Annotation("Bolt", np.zeros((3, 4)))], found)
    twin = external_results("atom/default", results / "atom/ebm_000", ["Bolt"])
    with pytest.raises(UserError, match="two results are called atom/default"):
        score_results("otb", [Annotation("Bolt", TRUTH)], [*found, *twin])


def test_files_hold_everything(results, sequences, tmp_path):
    (results / "atom/ebm_000" / "run.json").write_text('{"made_with": {"seed": 3}}')
    (results / "atom/default" / "run.json").write_text("{")
    report = score_results("otb", sequences, find_results(results, ["Bolt", "Deer"]))
    paths = write_tables(report, tmp_path / "out")
    assert all(path.stat().st_size for path in paths)
    data = json.loads((tmp_path / "out" / "results.json").read_text())
    ebm = data["trackers"]["atom/ebm_000"]
    assert data["sequences"] == ["Bolt", "Deer"]
    assert ebm["folders"] == [str(results / "atom/ebm_000")]
    assert ebm["records"] == [{"made_with": {"seed": 3}}]
    assert data["trackers"]["atom/default"]["records"] == [None]
    assert ebm["overall"]["auc"] == report.trackers[0].overall.auc
    assert np.mean(ebm["sequences"]["Bolt"]["curves"]["success"]) == ebm["sequences"]["Bolt"]["auc"] == 20 / 21
    assert len(data["thresholds"]["success"]) == len(ebm["overall"]["curves"]["success"]) == 21
    assert len(data["thresholds"]["precision"]) == len(ebm["overall"]["curves"]["precision"]) == 51


def test_tables(results, sequences):
    report = score_results("otb", sequences, find_results(results, ["Bolt", "Deer"]))
    text = tracker_table(report).splitlines()
    assert text[0] == "otb, 2 sequences"
    assert text[1].split() == ["Tracker", "AUC", "OP50", "OP75", "Prec", "NPrec", "FPS"]
    assert text[3].split() == ["atom/ebm_000", "85.71", "90.00", "90.00", "90.00", "90.00", "3.1"]
    by_sequence = sequence_table(report, "op50").splitlines()
    assert by_sequence[3].split() == ["Bolt", "100.00*", "80.00", "60.00"]
    assert by_sequence[4].split() == ["Deer", "80.00*", "80.00*", "40.00"]
    assert by_sequence[5].split() == ["mean", "90.00", "80.00", "50.00"]
    assert "| atom/ebm_000 | 85.71 | 90.00 |" in markdown_table(report)
    assert len(sequences_csv(report).splitlines()) == 1 + 3 * 2


def test_table_of_one_tracker_by_sequence_has_every_metric(results, sequences):
    report = score_results("otb", sequences, find_results(results, ["Bolt", "Deer"], ["atom/ebm_000"]))
    row = sequence_table(report).splitlines()[3].split()
    assert row == ["Bolt", "95.24", "100.00", "100.00", "100.00", "100.00", "3.1", "10"]


def test_output_folder_that_cannot_be_created(results, sequences, tmp_path):
    report = score_results("otb", sequences, find_results(results, ["Bolt", "Deer"]))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be created.*--out"):
        write_tables(report, tmp_path / "file" / "out")


def test_scores_by_attribute_are_means_over_the_scored_sequences_that_carry_it(results):
    marked = [
        Annotation("Bolt", TRUTH, ("rain", "LR", "IV")),
        Annotation("Deer", TRUTH, ("IV",)),
        Annotation("Lost", TRUTH, ("OV",)),  # nobody has a result of it
    ]
    report = score_results("otb", marked, find_results(results, ["Bolt", "Deer", "Lost"]))
    assert list(report.attributes.items()) == [("IV", ("Bolt", "Deer")), ("LR", ("Bolt",)), ("rain", ("Bolt",))]
    worst = report.trackers[-1]  # 6 of Bolt's 10 frames are right, 4 of Deer's
    assert {a: round(curves.op50, 6) for a, curves in report.by_attribute(worst).items()} == {
        "IV": 0.5,
        "LR": 0.6,
        "rain": 0.6,
    }
    merged = score_results("otb", marked, find_results(results, ["Bolt", "Deer", "Lost"]), merge_runs=True)
    assert merged.by_attribute(merged.trackers[0])["IV"].op50 == pytest.approx((0.9 + 0.8) / 2)
    document = merged.to_json()
    assert document["attributes"]["LR"] == ["Bolt"]
    assert document["trackers"]["atom/default"]["attributes"]["LR"]["op50"] == pytest.approx(0.6)


def test_one_odd_file_leaves_its_tracker_out_and_names_it(results, sequences):
    (results / "atom/ebm_000" / "Deer.txt").write_text("1 2 3 4\n1 2 three 4\n")
    (results / "atom/default" / "Bolt_1.txt").write_text("1 2 3 4\n")
    (results / "atom/default" / "Bolt.txt").rename(results / "atom/default" / "Bolt-1.txt")
    (results / "atom/ebm_001" / "Bolt_time.txt").write_text("soon\n")  # the boxes can be scored all the same
    sequences = [Annotation("Bolt.1", TRUTH), sequences[1]]
    for name in ("ebm_000", "ebm_001"):
        (results / "atom" / name / "Bolt.txt").rename(results / "atom" / name / "Bolt_1.txt")
    found = find_results(results, ["Bolt.1", "Deer"])
    report = score_results("otb", sequences, found)
    assert [tracker.name for tracker in report.trackers] == ["atom/ebm_001"] and len(report.sequences) == 2
    left_out = [note for note in report.notes if "is left out" in note]
    assert len(left_out) == 2 and "Bolt-1.txt and Bolt_1.txt could both be Bolt.1" in left_out[0]
    assert left_out[1].startswith("atom/ebm_000 is left out: ") and "Deer.txt, line 2" in left_out[1]
    with pytest.raises(UserError, match=r"Deer\.txt, line 2"):
        score_results("otb", sequences, [result for result in found if result.name == "atom/ebm_000"])
