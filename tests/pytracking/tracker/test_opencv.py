"""OpenCV's trackers behind this package's interface."""

import cv2
import numpy as np
import pytest

from ltr.common.errors import UserError
from pytracking.tracker.opencv import OpenCVSettings, OpenCVTracker

HAVE_CONTRIB = hasattr(cv2, "TrackerCSRT") and hasattr(cv2, "TrackerKCF")
needs_contrib = pytest.mark.skipif(not HAVE_CONTRIB, reason="needs opencv-contrib-python: the extra 'compare'")


class StandIn:
    """What OpenCV's classes do, as far as the wrapper is concerned."""

    started_with: tuple = ()
    answer = (True, (3, 4, 5, 6))

    @classmethod
    def create(cls):
        return cls()

    def init(self, image, box):
        type(self).started_with = (image[0, 0].tolist(), box)

    def update(self, image):
        return self.answer


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(cv2, "TrackerCSRT", StandIn, raising=False)
    return OpenCVTracker(OpenCVSettings("csrt"))


def test_images_go_in_as_bgr_and_boxes_as_whole_pixels_inside(stand_in):
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 0] = 200
    out = stand_in.initialize(image, np.array([-3.4, 5.6, 10.0, 50.0]))
    assert StandIn.started_with == ([0, 0, 200], (0, 6, 7, 34))
    np.testing.assert_array_equal(out.box, [-3.4, 5.6, 10, 50])
    out = stand_in.track(image)
    np.testing.assert_array_equal(out.box, [3, 4, 5, 6])
    assert (out.box.dtype, out.score, out.flag) == (np.float64, 1.0, "normal")


def test_a_lost_target_keeps_its_last_box(stand_in, monkeypatch):
    image = np.zeros((40, 60, 3), np.uint8)
    stand_in.initialize(image, np.array([1.0, 2.0, 10.0, 10.0]))
    monkeypatch.setattr(StandIn, "answer", (False, (0, 0, 0, 0)))
    out = stand_in.track(image)
    np.testing.assert_array_equal(out.box, [1, 2, 10, 10])
    assert (out.score, out.flag) == (0.0, "not_found")


@pytest.mark.parametrize("box", [(5, 5, 0, 4), (70, 5, 4, 4), (np.nan, 5, 4, 4), (5.6, 5, 0.2, 4)])
def test_boxes_that_cannot_be_tracked(stand_in, box):
    with pytest.raises(UserError, match="first box"):
        stand_in.initialize(np.zeros((40, 60, 3), np.uint8), np.array(box, float))


@pytest.mark.parametrize("answer", [(70, 5, 20, 20), (5, 40, 20, 20), (-20, 5, 20, 20), (5, -20, 20, 20)])
def test_a_box_outside_the_image_is_a_lost_target(stand_in, monkeypatch, answer):
    stand_in.initialize(np.zeros((80, 90, 3), np.uint8), np.array([1.0, 2.0, 10.0, 10.0]))
    monkeypatch.setattr(StandIn, "answer", (True, answer))
    out = stand_in.track(np.zeros((40, 60, 3), np.uint8))
    np.testing.assert_array_equal(out.box, [1, 2, 10, 10])
    assert (out.score, out.flag) == (0.0, "not_found")


def noise(height, width, seed=0):
    return np.random.RandomState(seed).randint(0, 255, (height, width, 3)).astype(np.uint8)


@needs_contrib
@pytest.mark.parametrize("box", [(20, 20, 1, 1), (20, 20, 1, 40), (20, 20, 40, 1), (20, 20, 100, 2), (20, 10, 2, 100)])
def test_a_box_too_thin_for_csrt_is_refused_in_a_sentence(box):
    tracker = OpenCVTracker(OpenCVSettings("csrt"))
    with pytest.raises(UserError, match=rf"CSRT cannot start on the first box .*, {box[2]} x {box[3]} whole pixels"):
        tracker.initialize(noise(120, 160), np.array(box, float))
    with pytest.raises(RuntimeError, match="initialize"):  # nothing is left half started
        tracker.track(noise(120, 160))


@needs_contrib
@pytest.mark.parametrize("algorithm", ["csrt", "kcf"])
@pytest.mark.parametrize("size", [(30, 30), (10, 10), (1, 1), (120, 20), (5, 400)])
def test_a_smaller_image_loses_the_target_and_tracking_goes_on(algorithm, size):
    image, box = noise(120, 160), np.array([100.0, 80, 40, 30])
    tracker = OpenCVTracker(OpenCVSettings(algorithm))
    tracker.initialize(image, box)
    for _ in range(2):
        out = tracker.track(noise(*size, seed=1))
        assert out.flag == "not_found" or (out.box[:2] < size[::-1]).all()
    again = tracker.track(image)
    np.testing.assert_allclose(again.box, box, atol=2)


@needs_contrib
def test_thin_targets_at_the_border_never_end_in_a_traceback():
    image = noise(120, 160)
    flags = set()
    for box in [(157, 109, 2, 10), (157, 79, 2, 40), (156, 117, 3, 2), (2, 109, 10, 10)]:
        tracker = OpenCVTracker(OpenCVSettings("csrt"))
        tracker.initialize(image, np.array(box, float))
        flags |= {tracker.track(np.roll(image, (k, k), (0, 1))).flag for k in range(4)}
    assert "not_found" in flags


@needs_contrib
def test_the_threshold_of_kcf_decides_when_it_gives_up():
    random = np.random.RandomState(0)
    images = [random.randint(0, 255, (60, 80, 3)).astype(np.uint8) for _ in range(3)]
    flags = []
    for threshold in (0.0, 0.99):
        tracker = OpenCVTracker(OpenCVSettings("kcf", kcf_threshold=threshold))
        tracker.initialize(images[0], np.array([20.0, 20, 24, 20]))
        tracker.track(images[1])  # OpenCV's first update only learns
        flags.append(tracker.track(images[2]).flag)
    assert flags == ["normal", "not_found"]


def test_without_the_contributed_modules_the_extra_is_named(monkeypatch):
    monkeypatch.delattr(cv2, "TrackerCSRT", raising=False)
    with pytest.raises(UserError, match=r"pip install 'ebm-regression\[compare\]'"):
        OpenCVTracker(OpenCVSettings("csrt"))
    with pytest.raises(UserError, match="csrt, kcf"):
        OpenCVTracker(OpenCVSettings("mosse"))


@needs_contrib
@pytest.mark.parametrize("algorithm", ["csrt", "kcf"])
def test_a_moving_patch_is_followed(algorithm):
    random = np.random.RandomState(0)
    background = cv2.GaussianBlur(random.randint(0, 120, (120, 160, 3)).astype(np.uint8), (0, 0), 3)
    patch = cv2.resize(random.randint(100, 255, (6, 6, 3)).astype(np.uint8), (30, 30))

    def frame(x):
        image = background.copy()
        image[40:70, x : x + 30] = patch
        return image

    tracker = OpenCVTracker(OpenCVSettings(algorithm))
    tracker.initialize(frame(20), np.array([20.0, 40, 30, 30]))
    for x in range(22, 62, 2):
        out = tracker.track(frame(x))
    np.testing.assert_allclose(out.box, [60, 40, 30, 30], atol=5)
