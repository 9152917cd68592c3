import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytracking.analysis import mean_curves, score_sequence
from pytracking.analysis.box_files import read_annotations
from pytracking.analysis.metrics import OVERLAP_THRESHOLDS, center_error, norm_center_error, overlap
from pytracking.analysis.scoring import score_results
from pytracking.analysis.tracker_results import external_results


def random_boxes(seed: int, count: int = 60) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.concatenate([generator.uniform(1, 300, (count, 2)), generator.uniform(2, 120, (count, 2))], axis=1)


def around(boxes: np.ndarray, seed: int, spread: float = 0.2) -> np.ndarray:
    generator = np.random.default_rng(seed)
    moved = boxes.copy()
    moved[:, :2] += generator.normal(0, spread, (len(boxes), 2)) * boxes[:, 2:]
    moved[:, 2:] *= np.exp(generator.normal(0, spread, (len(boxes), 2)))
    return moved


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_ground_truth_against_itself_is_exactly_20_of_21(seed, sequences):
    """Also for boxes whose (x + w) - x is not w in floating point, and for the mean over any number of sequences."""
    truths = [random_boxes(seed + i, count=37) / 3 for i in range(sequences)]
    curves = mean_curves([score_sequence(truth, truth).curves for truth in truths])
    assert curves.auc == 20 / 21
    assert curves.scalars() == {"auc": 20 / 21, "op50": 1, "op75": 1, "precision": 1, "norm_precision": 1}


def test_overlap_of_known_boxes():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [5, 5, 0, 0.0]])
    others = np.array([[0, 0, 10, 5], [5, 5, 10, 10], [20, 0, 5, 5], [5, 5, 0, 0.0]])
    np.testing.assert_allclose(overlap(boxes, others), [0.5, 25 / 175, 0, 0])


def test_center_errors_of_known_boxes():
    truth = np.array([[10, 20, 40, 20.0]])
    # The centre of OTB is xy + (wh - 1) / 2: doubling the size about one corner moves it by half the size.
    assert center_error(np.array([[13, 24, 40, 20.0]]), truth) == pytest.approx(5)
    assert center_error(np.array([[10, 20, 80, 20.0]]), truth) == pytest.approx(20)
    assert norm_center_error(np.array([[18, 24, 40, 20.0]]), truth) == pytest.approx(np.hypot(8 / 40, 4 / 20))


def test_success_is_strict_and_precision_is_not():
    truth = np.tile([10, 10, 40, 40.0], (3, 1))
    half = truth.copy()
    half[1:, 3] = 20  # IoU of exactly one half
    assert score_sequence(half, truth).curves.op50 == pytest.approx(1 / 3)
    moved = truth.copy()
    moved[1:, 0] += 20
    score = score_sequence(moved, truth)
    assert score.curves.precision[[19, 20]] == pytest.approx([1 / 3, 1])


def test_first_box_is_the_given_one():
    truth = random_boxes(1, 2)
    wrong = truth.copy()
    wrong[0] = [900, 900, 1, 1]
    assert score_sequence(wrong, truth).curves.auc == 20 / 21


def test_short_predictions_fail_where_they_end_and_long_ones_are_cut():
    truth = random_boxes(2, 10)
    short = score_sequence(truth[:4], truth)
    assert (short.padded, short.cut) == (6, 0)
    assert short.curves.op50 == pytest.approx(0.4)
    long = score_sequence(np.concatenate([truth, truth]), truth)
    assert (long.padded, long.cut) == (0, 10)
    assert long.curves.auc == 20 / 21


def test_zero_size_box_takes_the_one_before_it():
    truth = np.tile([10, 10, 40, 40.0], (4, 1))
    lost = truth.copy()
    lost[1:3] = [[0, 0, 0, 0], [300, 300, 5, 0]]
    score = score_sequence(lost, truth)
    assert score.replaced == 2
    assert score.curves.auc == 20 / 21
    # A tracker that never finds the target gains nothing from its first box.
    assert score_sequence(np.zeros((4, 4)), truth).curves.op50 == pytest.approx(1 / 4)


@pytest.mark.parametrize("absent", [[0, 0, 0, 0], [np.nan] * 4, [50, 50, 10, 0]])
def test_frames_without_a_target(absent):
    truth = np.tile([10, 10, 40, 40.0], (4, 1))
    truth[3] = absent
    pred = np.tile([10, 10, 40, 40.0], (4, 1))
    score = score_sequence(pred, truth)
    assert score.invalid == 1
    assert score.curves.op50 == score.curves.precision20 == 0.75  # failures
    assert score.curves.norm_precision20 == 1.0  # a hit, as in PyTracking
    assert score_sequence(pred, truth, exclude_invalid=True).curves.auc == 20 / 21


def test_target_beyond_the_left_or_upper_edge_is_a_target():
    truth = np.array([[10, 10, 40, 40], [-3, -8, 40, 40], [0, 5, 40, 40.0]])
    score = score_sequence(truth, truth)
    assert score.invalid == 0
    assert score.curves.auc == 20 / 21


@pytest.mark.parametrize("bad", [[np.nan, 0, 1, 1], [0, 0, -1, 1], [np.inf, 0, 1, 1]])
def test_impossible_predictions_are_refused(bad):
    truth = random_boxes(3, 3)
    pred = truth.copy()
    pred[1] = bad
    with pytest.raises(ValueError, match="NaN"):
        score_sequence(pred, truth)


def test_refuses_ground_truth_without_any_target_and_wrong_shapes():
    with pytest.raises(ValueError, match="no frame"):
        score_sequence(np.ones((3, 4)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match=re.escape("(3, 8)")):
        score_sequence(np.ones((3, 8)), np.ones((3, 4)))


def test_inputs_are_left_alone():
    truth, pred = random_boxes(4), around(random_boxes(4), 5)
    truth[5] = 0
    pred[7] = 0
    copies = truth.copy(), pred.copy()
    score_sequence(pred, truth)
    np.testing.assert_array_equal(truth, copies[0])
    np.testing.assert_array_equal(pred, copies[1])


def test_same_curves_as_the_got10k_toolkit():
    otb = pytest.importorskip("got10k.experiments.otb")
    toolkit = SimpleNamespace(nbins_iou=21, nbins_ce=51)
    for seed in range(20):
        truth = random_boxes(seed, 200).round()
        pred = around(truth, seed + 100, spread=0.05 * (1 + seed)).round(seed % 4)
        pred[:, 2:] = pred[:, 2:].clip(1)
        pred[0] = truth[0]
        measures = otb.ExperimentOTB._calc_metrics(toolkit, pred, truth)
        success, precision = otb.ExperimentOTB._calc_curves(toolkit, *measures)
        ours = score_sequence(pred, truth).curves
        np.testing.assert_array_equal(ours.success, success)
        np.testing.assert_array_equal(ours.precision, precision)
    np.testing.assert_array_equal(OVERLAP_THRESHOLDS, np.linspace(0, 1, 21))


@pytest.mark.parametrize(
    ("tracker", "auc", "precision", "op50"),
    [
        ("BACF", 0.5923, 0.7935, 0.7111),
        ("CSRDCF", 0.5924, 0.7751, 0.7164),
        ("KCF", 0.4780, 0.6878, 0.5473),
    ],
)
def test_published_scores_on_otb_100_are_met_to_four_digits(shared_data, tracker, auc, precision, op50):
    annotations = read_annotations(shared_data / "otb_annotations")
    names = [annotation.name for annotation in annotations]
    results = external_results(tracker, shared_data / "otb_results" / tracker, names)
    (score,) = score_results("otb", annotations, results).trackers
    assert len(score.sequences) == 100
    numbers = score.overall.scalars()
    assert [round(numbers[key], 4) for key in ("auc", "precision", "op50")] == [auc, precision, op50]


def test_real_boxes_score_as_in_the_got10k_toolkit(shared_data):
    otb = pytest.importorskip("got10k.experiments.otb")
    toolkit = SimpleNamespace(nbins_iou=21, nbins_ce=51)
    annotations = read_annotations(shared_data / "otb_annotations")
    (results,) = external_results("ECO", shared_data / "otb_results" / "ECO", [a.name for a in annotations])
    from pytracking.analysis import read_boxes

    for annotation in annotations:
        if (annotation.ground_truth[:, 2:] <= 0).any():
            continue  # the toolkit has no rule for frames without a target
        pred = read_boxes(results.files[annotation.name])
        pred[0] = annotation.ground_truth[0]
        measures = otb.ExperimentOTB._calc_metrics(toolkit, pred, annotation.ground_truth)
        success, _ = otb.ExperimentOTB._calc_curves(toolkit, *measures)
        ours = score_sequence(pred, annotation.ground_truth).curves
        np.testing.assert_allclose(ours.success, success, atol=1e-12, err_msg=annotation.name)
