"""Benchmarks in miniature, run and scored: closed forms, and the same numbers from the got10k toolkit's own code."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from ltr.common.errors import UserError
from pytracking.analysis.html_report import write_html
from pytracking.analysis.metrics import score_sequence
from pytracking.analysis.rules import rule_of
from pytracking.analysis.score_report import Report
from pytracking.analysis.scoring import score_results
from pytracking.analysis.tables import sequence_table, sequences_csv, tracker_table, write_tables
from pytracking.analysis.tracker_results import find_results
from pytracking.commands.analyse import main
from pytracking.evaluation.datasets import SequenceList, get_dataset
from pytracking.evaluation.running import TrackerSpec, run_dataset
from pytracking.tracker.base import BaseTracker, TrackerOutput
from tests.helpers import benchmark_trees as trees


class Follower(BaseTracker):
    """Moves its first box as the targets of `benchmark_trees` move: a pixel a frame, where they start again at 20."""

    def initialize(self, image, box):
        self.box = np.array(box, np.float64)
        return TrackerOutput(self.box, 1.0)

    def track(self, image, density=False):
        self.box = self.box + [1, 0, 0, 0]
        return TrackerOutput(self.box, 0.5)


@dataclass(frozen=True)
class FollowerSpec(TrackerSpec):
    tracker: str = "follower"
    param: str = "one"

    def make(self):
        return Follower()

    def settings(self):
        return {}


def run_and_score(dataset: SequenceList, results, **options) -> Report:
    report = run_dataset(dataset, FollowerSpec(), results)
    assert not report.failed
    names = [sequence.name for sequence in dataset]
    return score_results(dataset.title, list(dataset), find_results(results, names), **options)


@pytest.fixture
def photographs(shared_data):
    return sorted((shared_data / "otb" / "Deer" / "img").glob("*.jpg"))[:6]


@pytest.mark.parametrize(
    ("name", "write", "expected"),
    [
        ("dtb70", trees.write_dtb70, (1, 1, 1)),
        ("tpl", lambda root: trees.write_tpl(root, {"Bee_ce": (1, 9)}), (1, 1, 1)),
        ("lasot", lambda root: trees.write_lasot(root, count=10), (0.8, 0.8, 0.8)),
        ("lasot_extension_subset", lambda root: trees.write_lasot(root, ["atv-1"], count=10), (0.8, 0.8, 1)),
        ("uav", lambda root: trees.write_uav(root, {"uav6": (1, 109)}), (19 / 109, 40 / 109, None)),
        ("uav123_10fps", lambda root: trees.write_uav(root, {"uav6": (1, 37)}, "UAV123_10fps"), (19 / 37, None, None)),
        ("vot", trees.write_vot, ((1 + 5 / 6 + 1) / 3, (1 + 5 / 6 + 1) / 3, 1)),
    ],
)  # fmt: skip
def test_benchmarks_run_and_scored(tmp_path, name, write, expected):
    dataset = get_dataset(name, root=write(tmp_path / "set"))
    overall = run_and_score(dataset, tmp_path / "results").trackers[0].overall
    rates = (overall.op50, overall.precision20, overall.norm_precision20)
    for rate, wanted in zip(rates, expected, strict=True):
        assert wanted is None or rate == pytest.approx(wanted)


def test_a_pixel_origin_comes_back_in_the_results(tmp_path):
    for name, write in {"lasot": trees.write_lasot, "got10k_val": trees.write_got10k}.items():
        dataset = get_dataset(name, root=write(tmp_path / name))
        assert run_and_score(dataset, tmp_path / "results").trackers[0].overall.op75 in (4 / 6, 1)
        first = (tmp_path / "results/follower/one" / f"{dataset[0].name}.txt").read_text().split()[:4]
        assert np.array(first, float) == pytest.approx(dataset[0].ground_truth[0])


def test_got10k_val_scores_as_its_toolkit_reports(tmp_path, photographs):
    pytest.importorskip("got10k.experiments")
    from got10k.experiments import ExperimentGOT10k

    dataset = get_dataset("got10k_val", root=trees.write_got10k(tmp_path / "set", count=30, photographs=photographs))
    report = run_and_score(dataset, tmp_path / "results")
    (tracker,) = report.trackers
    ours = tmp_path / "results/follower/one"
    for sequence in dataset:
        folder = tmp_path / "toolkit/GOT-10k/follower" / sequence.name
        folder.mkdir(parents=True)
        rows = np.loadtxt(ours / f"{sequence.name}.txt")
        np.savetxt(folder / f"{sequence.name}_001.txt", rows, delimiter=",")
        times = np.loadtxt(ours / f"{sequence.name}_time.txt")
        np.savetxt(folder / f"{sequence.name}_time.txt", times[:, None], delimiter=",")
    experiment = ExperimentGOT10k(str(tmp_path / "set"), "val", str(tmp_path / "toolkit"), str(tmp_path / "reports"))
    theirs = experiment.report(["follower"])["follower"]
    assert tracker.official["ao"] == pytest.approx(theirs["overall"]["ao"], abs=1e-9)
    assert tracker.official["sr50"] == pytest.approx(theirs["overall"]["sr"])
    assert tracker.official["sr75"] == pytest.approx(theirs["overall"]["succ_curve"][75])
    for name, score in tracker.sequences.items():
        assert score.official["ao"] == pytest.approx(theirs["seq_wise"][name]["ao"], abs=1e-9)
    assert tracker.speed.toolkit is None or tracker.speed.toolkit == pytest.approx(
        theirs["overall"]["speed_fps"], rel=1e-3
    )


def test_got10k_sets_have_its_columns(tmp_path):
    dataset = get_dataset("got10k_val", root=trees.write_got10k(tmp_path / "set", count=6))
    report = run_and_score(dataset, tmp_path / "results")
    lines = tracker_table(report).splitlines()
    assert lines[1].split() == ["Tracker", "AO", "SR50", "SR75", "FPS"]
    assert lines[3].split()[:4] == ["follower/one", "100.00", "100.00", "100.00"]
    assert sequence_table(report).splitlines()[1].split() == ["Sequence", "AO", "SR50", "SR75", "FPS", "Frames"]
    assert sequences_csv(report).splitlines()[0].endswith("fps,ao,sr50,sr75")
    document = report.to_json()
    assert (document["scoring"], document["trackers"]["follower/one"]["overall"]["ao"]) == (["got10k"], 1)
    page = write_html(report, list(dataset), tmp_path / "page").read_text()
    assert "AO, SR50 and SR75 are GOT-10k&#39;s" in page and ">SR75</th>" in page
    assert not [note for note in report.notes if "visible" in note]  # PyTracking's measures know no cover label


def test_trackingnet_training_sets_are_scored_by_its_development_kit(tmp_path):
    trees.write_trackingnet(tmp_path, "TRAIN_0")
    report = run_and_score(get_dataset(str(tmp_path / "TRAIN_0")), tmp_path / "results")
    assert tracker_table(report).splitlines()[1].split() == ["Tracker", "Success", "Prec", "NPrec", "FPS"]
    assert report.trackers[0].official == pytest.approx(
        {"tn_success": 0.975, "tn_precision": 1, "tn_norm_precision": 1}
    )


@pytest.mark.parametrize("name", ["got10k_test", "trackingnet"])
def test_a_set_that_a_server_scores_is_run_and_listed(tmp_path, name, capsys):
    root = (
        trees.write_got10k(tmp_path / "set", "test")
        if name == "got10k_test"
        else trees.write_trackingnet(tmp_path / "set")
    )
    dataset = get_dataset(name, root=root)
    report = run_and_score(dataset, tmp_path / "results")
    assert report.unscored == tuple(sequence.name for sequence in dataset) and report.sequences == ()
    assert "only the first box is known of 2 sequences" in report.notes[0] and dataset[0].scored_by in report.notes[0]
    table = tracker_table(report).splitlines()
    assert table[0] == f"{dataset.title}, 2 sequences, which are not scored here"
    assert table[3].split()[:4] == ["follower/one", "-", "-", "-"]
    write_tables(report, tmp_path / "out")
    written = json.loads((tmp_path / "out/results.json").read_text(), parse_constant=pytest.fail)  # no NaN
    assert written["trackers"]["follower/one"]["overall"]["auc"] is None
    inputs = ["--dataset_name", name, "--dataset_root", str(root), "--results", str(tmp_path / "results")]
    assert main(["all", *inputs, "--out", str(tmp_path / "all")]) == 0
    assert not list((tmp_path / "all").glob("*.png"))
    with pytest.raises(SystemExit, match="2"):
        main(["plot", *inputs])
    assert "is not scored here" in capsys.readouterr().err


def test_sequences_of_one_line_do_not_change_the_scores_of_others(tmp_path):
    trees.write_dtb70(tmp_path / "mine", ["full", "alone"])
    (tmp_path / "mine/alone/groundtruth_rect.txt").write_text("5,6,16,12\n")
    report = run_and_score(get_dataset(str(tmp_path / "mine")), tmp_path / "results")
    assert (report.sequences, report.unscored, report.trackers[0].overall.op50) == (("full",), ("alone",), 1)
    assert any("only the first box is known of 1 sequences" in note for note in report.notes)


def test_benchmarks_of_several_rules_are_scored_each_by_its_own(tmp_path):
    trees.write_dtb70(tmp_path / "dtb")
    trees.write_lasot(tmp_path / "lasot", ["bus-2"], count=10)
    both = [*get_dataset("dtb70", root=tmp_path / "dtb"), *get_dataset("lasot", root=tmp_path / "lasot")]
    report = run_and_score(SequenceList("both", tmp_path, both), tmp_path / "results")
    scores = report.trackers[0].sequences
    assert [round(scores[name].curves.norm_precision20, 6) for name in ("dtb70_Animal1", "bus-2")] == [1, 0.8]
    assert tracker_table(report).splitlines()[1].split()[1] == "AUC"


def test_frames_and_boxes_are_those_that_the_got10k_toolkit_reads(tmp_path):
    datasets = pytest.importorskip("got10k.datasets")
    trees.write_got10k(tmp_path / "got")
    trees.write_dtb70(tmp_path / "dtb")
    trees.write_tpl(tmp_path / "tpl", {"Bee_ce": (1, 6), "David": (300, 306)})
    trees.write_uav(tmp_path / "uav", {"uav6": (1, 109), "bird1_2": (775, 1477)})
    for name in ("a", "b"):
        (tmp_path / "uav" / name).touch()  # the toolkit takes a folder of four or more for UAV123
    theirs = {
        "got10k_val": datasets.GOT10k(str(tmp_path / "got"), "val"),
        "dtb70": datasets.DTB70(str(tmp_path / "dtb")),
        "tpl": datasets.TColor128(str(tmp_path / "tpl"), download=False),
        "uav": datasets.UAV123(str(tmp_path / "uav")),
    }
    for name, root in {"got10k_val": "got", "dtb70": "dtb", "tpl": "tpl", "uav": "uav"}.items():
        ours = get_dataset(name, root=tmp_path / root)
        assert len(ours) == len(theirs[name]) == 2
        for base in theirs[name].seq_names:
            files, boxes = theirs[name][base]
            sequence = ours[base if name == "got10k_val" else f"{name}_{base}"]
            assert [str(frame) for frame in sequence.frames] == [str(file) for file in files]
            np.testing.assert_array_equal(sequence.ground_truth, boxes)


def test_uav_success_without_absent_frames_is_that_of_the_got10k_toolkit():
    experiment = pytest.importorskip("got10k.experiments.uav123").ExperimentUAV123
    toolkit = SimpleNamespace(nbins_iou=21, nbins_ce=51)
    truth = trees.boxes(60)
    pred = truth + np.random.default_rng(0).normal(0, 3, truth.shape) * [1, 1, 0.2, 0.2]
    pred[0] = truth[0]
    truth[[7, 30, 31]] = np.nan
    measures = experiment._calc_metrics(toolkit, pred, truth)
    success, precision = experiment._calc_curves(toolkit, *measures)
    ours = score_sequence(pred, truth, exclude_invalid=True, rule=rule_of("uav")).curves
    np.testing.assert_allclose(ours.success, success, atol=1e-12)
    np.testing.assert_allclose(ours.precision, precision, atol=1e-12)


def test_a_missing_result_of_a_set_scored_elsewhere_is_said(tmp_path):
    dataset = get_dataset("got10k_test", root=trees.write_got10k(tmp_path / "set", "test"))
    run_dataset(list(dataset)[:1], FollowerSpec(), tmp_path / "results")
    found = find_results(tmp_path / "results", [sequence.name for sequence in dataset])
    report = score_results(dataset.title, list(dataset), found)
    assert report.notes[-1] == "follower/one has no result of 1 of these"
    with pytest.raises(UserError, match="no result to score"):
        score_results(dataset.title, list(dataset), [])
