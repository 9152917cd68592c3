"""What benchmarks count differently: absent and hidden targets, GOT-10k's and TrackingNet's own measures."""

from types import SimpleNamespace

import numpy as np
import pytest

from pytracking.analysis.metrics import score_sequence
from pytracking.analysis.official import got10k_measures, trackingnet_measures
from pytracking.analysis.rules import RULES, rule_of
from pytracking.analysis.speed import mean_speed, measure_speed, speed_notes

TRUTH = np.tile([10, 10, 40, 40.0], (10, 1))


def counted(rule: str, absent: list[int], hidden: list[int], exclude_invalid: bool = False) -> tuple[float, ...]:
    """OP50, precision and normalised precision of a tracker that is right wherever there is a target."""
    truth, visible = TRUTH.copy(), np.ones(10, bool)
    truth[absent], visible[hidden] = np.nan, False
    curves = score_sequence(TRUTH, truth, exclude_invalid, rule_of(rule), visible).curves
    return round(curves.op50, 6), round(curves.precision20, 6), round(curves.norm_precision20, 6)


@pytest.mark.parametrize(
    ("rule", "absent", "hidden"),
    [
        ("otb", (0.8, 0.8, 1.0), (1.0, 1.0, 1.0)),
        ("uav", (0.8, 1.0, 1.0), (1.0, 1.0, 1.0)),
        ("lasot", (0.8, 0.8, 1.0), (0.8, 0.8, 0.8)),
        ("lasot_extension_subset", (0.8, 0.8, 1.0), (0.8, 0.8, 1.0)),
        ("got10k", (0.8, 0.8, 1.0), (1.0, 1.0, 1.0)),
        ("no benchmark", (0.8, 0.8, 1.0), (1.0, 1.0, 1.0)),
    ],
)
def test_frames_without_a_target_by_benchmark(rule, absent, hidden):
    assert counted(rule, [3, 4], []) == absent
    assert counted(rule, [], [3, 4]) == hidden
    assert counted(rule, [3], [4], exclude_invalid=True) == (1, 1, 1)


def pytracking_rates(pred, truth, dataset, visible) -> list[float]:
    """The rule of PyTracking's extract_results.py, written out for one threshold of each measure."""
    valid = (truth[:, 2:] > 0).all(axis=1) & (np.ones(len(truth), bool) if visible is None else visible)
    with np.errstate(invalid="ignore", divide="ignore"):
        offset = (pred[:, :2] + (pred[:, 2:] - 1) / 2) - (truth[:, :2] + (truth[:, 2:] - 1) / 2)
        center, norm = np.hypot(*offset.T), np.hypot(*(offset / truth[:, 2:]).T)
    center[~valid] = -1.0 if dataset == "uav" else np.inf
    norm[~valid] = -1.0
    if dataset == "lasot":
        center[~visible], norm[~visible] = np.inf, np.inf
    return [np.mean(center <= 20), np.mean(norm <= 0.2)]


@pytest.mark.parametrize("dataset", ["otb", "uav", "lasot", "lasot_extension_subset"])
def test_precisions_are_those_of_pytracking(dataset):
    generator = np.random.default_rng(3)
    for _ in range(20):
        truth = np.concatenate([generator.uniform(0, 90, (40, 2)), generator.uniform(20, 60, (40, 2))], axis=1)
        pred = truth + generator.normal(0, 12, (40, 4)) * [1, 1, 0.2, 0.2]
        pred[0] = truth[0]
        truth[generator.integers(1, 40, 5)] = 0
        visible = generator.random(40) > 0.2 if "lasot" in dataset else None
        curves = score_sequence(pred, truth, rule=RULES[dataset], visible=visible).curves
        rates = [curves.precision20, curves.norm_precision20]
        assert rates == pytest.approx(pytracking_rates(pred, truth, dataset, visible), abs=1e-12)


def test_a_box_of_no_size_is_kept_where_the_annotation_is_nan():
    truth, pred = TRUTH.copy(), TRUTH.copy()
    pred[3:5] = 0
    assert score_sequence(pred, truth).replaced == 2
    truth[3] = np.nan  # as in PyTracking: the box of frame 4 is then that of frame 3, of no size
    score = score_sequence(pred, truth)
    assert (score.replaced, score.curves.op50) == (1, pytest.approx(0.8))


def test_what_absent_frames_count_as_in_words():
    assert rule_of("otb").absent_counts_as() == "failures in success and precision, hits in normalised precision"
    assert rule_of("uav").absent_counts_as() == "failures in success, hits in precision and normalised precision"
    assert rule_of("lasot").absent_counts_as() == "failures in all measures"


def test_got10k_measures_are_those_of_its_toolkit():
    metrics = pytest.importorskip("got10k.utils.metrics")
    experiment = pytest.importorskip("got10k.experiments.got10k").ExperimentGOT10k
    generator = np.random.default_rng(0)
    for _ in range(20):
        truth = np.concatenate([generator.uniform(-20, 300, (50, 2)), generator.uniform(5, 90, (50, 2))], axis=1)
        pred = truth + generator.normal(0, 10, (50, 4))
        pred[:, 2:] = pred[:, 2:].clip(0)
        cover, size = generator.integers(0, 9, 50), (320, 240)
        iou = metrics.rect_iou(pred[1:].copy(), truth[1:].copy(), bound=size)[cover[1:] > 0]
        ao, sr50, _, curve = experiment._evaluate(SimpleNamespace(), iou, np.ones(3))
        ours = got10k_measures(pred, truth, cover > 0, size)
        assert list(ours.values.values()) == pytest.approx([ao, sr50, curve[75]], abs=1e-9)
        assert ours.weight == len(iou)


def test_got10k_leaves_out_the_first_frame_and_counts_missing_boxes_as_failures():
    measured = got10k_measures(TRUTH[:5], TRUTH)
    assert measured == ({"ao": 4 / 9, "sr50": 4 / 9, "sr75": 4 / 9}, 9)
    assert got10k_measures(TRUTH, TRUTH, np.arange(10) == 0).weight == 0


def test_trackingnet_measures_of_known_boxes():
    perfect = trackingnet_measures(TRUTH + [0.4, -0.4, 0.2, 0], TRUTH).values  # rounded to the truth
    assert perfect == pytest.approx(
        {"tn_success": 0.975, "tn_precision": 1, "tn_norm_precision": 1}
    )  # nobody is above 1
    moved = TRUTH + [10, 0, 0, 0]
    moved[0] = TRUTH[0]
    values = trackingnet_measures(moved, TRUTH).values
    iou, share = 30 * 40 / (50 * 40), 0.9
    curve = share * (iou > np.linspace(0, 1, 21)) + 0.1 * (1 > np.linspace(0, 1, 21))
    assert values["tn_success"] == pytest.approx(np.trapezoid(curve, dx=0.05))
    hits = share * (10 <= np.linspace(0, 50, 21)) + 0.1
    assert values["tn_precision"] == pytest.approx(np.trapezoid(hits, dx=0.05))
    norm = share * (10 / 40 <= np.linspace(0, 0.5, 21)) + 0.1
    assert values["tn_norm_precision"] == pytest.approx(np.trapezoid(norm, dx=0.05))
    assert trackingnet_measures(TRUTH[:5], TRUTH).values["tn_precision"] == pytest.approx(0.5)


def test_speed_is_frames_over_seconds_beside_the_mean_of_rates():
    times = {"a": np.array([1.0, 0.1, 0.1]), "b": np.array([0.5, 0.5]), "none": None}
    result = SimpleNamespace(times=times.get)
    speed = measure_speed(result, times)
    assert speed.by_sequence == {"a": pytest.approx(3 / 1.2), "b": pytest.approx(2)}
    assert (speed.fps, speed.toolkit) == (pytest.approx((2.5 + 2) / 2), pytest.approx((7 + 2) / 2))
    assert measure_speed(result, times, pool_frames=True).toolkit == pytest.approx((1 + 10 + 10 + 2 + 2) / 5)
    assert mean_speed([speed, measure_speed(result, ["none"])]) == speed
    assert speed_notes({"x": speed})[0].endswith("the got10k toolkit's mean of 1 / seconds over frames: x 4.5")
    assert speed_notes({"x": measure_speed(result, ["none"])}) == []
