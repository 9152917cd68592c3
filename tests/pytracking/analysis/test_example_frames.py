import cv2
import numpy as np
import pytest

from ltr.common.errors import UserError
from pytracking.analysis.box_files import Annotation
from pytracking.analysis.example_frames import draw_example_frames, pick_sequences
from pytracking.analysis.metrics import Curves, SequenceScore
from pytracking.analysis.score_report import Report, TrackerScore
from pytracking.evaluation.datasets import TrackingSequence

NAMES = ("a", "b", "c", "d", "e")
TRUTH = np.tile([101, 61, 80, 50.0], (9, 1))


def tracker(name: str, aucs: list[float], boxes: np.ndarray = TRUTH) -> TrackerScore:
    curves = [Curves(np.full(21, auc), np.full(51, auc), np.full(51, auc)) for auc in aucs]
    scores = {n: SequenceScore(c, 9, 0, 0, 0, 0) for n, c in zip(NAMES, curves, strict=False)}
    overall = Curves(*(np.full(size, np.mean(aucs)) for size in (21, 51, 51)))
    return TrackerScore(name, (), overall, scores, boxes={n: boxes for n in scores})


def report(*trackers: TrackerScore) -> Report:
    return Report("toy", tuple(trackers[0].sequences), {}, False, trackers, ())


def test_picked_sequences_are_where_the_leader_is_furthest_ahead_and_furthest_behind():
    second, leader = tracker("x", [0.5, 0.5, 0.1, 0.5, 0.9]), tracker("y", [0.6, 0.9, 0.9, 0.4, 0.5])
    third = tracker("z", [0.1, 0.1, 0.8, 0.1, 0.1])
    best, worst = pick_sequences(report(second, leader, third), count=2)
    assert [(pick.sequence, pick.rival) for pick in best] == [("b", "x"), ("a", "x")]
    assert [(pick.sequence, pick.rival) for pick in worst] == [("e", "x"), ("d", "x")]
    assert (best[0].auc, best[0].margin, worst[0].margin) == pytest.approx((0.9, 0.4, -0.4))


def test_of_one_tracker_the_highest_and_the_lowest_are_picked():
    best, worst = pick_sequences(report(tracker("x", [0.5, 0.9, 0.1, 0.3, 0.4])), count=2)
    assert [pick.sequence for pick in best + worst] == ["b", "a", "c", "d"]
    assert best[0].margin is None


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_no_sequence_is_picked_twice(count):
    best, worst = pick_sequences(report(tracker("x", [0.5, 0.9, 0.1, 0.3, 0.4][:count])))
    picked = [pick.sequence for pick in best + worst]
    assert len(picked) == len(set(picked)) == count


@pytest.fixture
def sequence(tmp_path):
    """Nine black images."""
    paths = [tmp_path / f"{i}.png" for i in range(9)]
    for path in paths:
        cv2.imwrite(str(path), np.zeros((240, 320, 3), np.uint8))
    return TrackingSequence("a", paths, TRUTH, "toy", 1.0)


def toy_report() -> Report:
    """Two trackers: one right, one that stands still at the left and ends early."""
    return report(tracker("right", [0.9]), tracker("left", [0.1], TRUTH[:5] - [90, 0, 0, 0]))


def test_frames_show_every_box_in_its_trackers_colour(sequence):
    frames = draw_example_frames(toy_report(), sequence)
    assert [number for number, _ in frames] == [1, 4, 6, 9]
    first, *_, last = (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1] for _, data in frames)
    scale = first.shape[1] / 320
    column = round(140 * scale)  # through the top of the right box, whose first pixel is 100, 60
    np.testing.assert_allclose(first[round(60 * scale), column], [0xD5, 0x5E, 0x00], atol=60)  # JPEG
    assert first[round(60 * scale) - 3, column].min() > 100  # ground truth, wider and white
    left = np.s_[round(50 * scale) : round(120 * scale), : round(60 * scale)]
    assert first[left].max() > 100
    assert last[left].max() < 60  # that tracker has no box there


def test_missing_images_are_named(sequence):
    with pytest.raises(UserError, match="no images"):
        draw_example_frames(toy_report(), Annotation("a", TRUTH))
    sequence.frames[3].unlink()
    with pytest.raises(UserError, match=r"3\.png does not exist"):
        draw_example_frames(toy_report(), sequence)
