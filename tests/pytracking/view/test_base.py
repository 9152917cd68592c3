"""A target's tracker is asked for what the views request, and no more."""

import numpy as np
import pytest

from pytracking.tracker.base import BaseTracker, TrackerOutput
from pytracking.tracker.events import OptimizerLoss
from pytracking.view.base import NO_REQUEST, Request, TargetTracker, TrackedFrame, View, Views

IMAGE = np.zeros((8, 8, 3), np.uint8)
BOX = np.array([1.0, 2.0, 3.0, 4.0])


class ReportingTracker(BaseTracker):
    """Reports every frame to its observer, and counts the requests for a density."""

    def __init__(self):
        self.densities = 0

    def initialize(self, image, box):
        return self.answer(box)

    def track(self, image, density=False):
        assert not density  # which would be counted as the tracker's own time
        return self.answer(BOX)

    def density(self):
        self.densities += 1
        return "the density"

    def answer(self, box):
        if self.observer:
            self.observer(OptimizerLoss(np.ones(2), "update"))
        return TrackerOutput(box, 1.0)


def test_without_a_request_nothing_is_asked_for():
    tracker = ReportingTracker()
    target_tracker = TargetTracker(tracker)
    first, second = target_tracker.initialize(IMAGE, BOX), target_tracker.track(IMAGE)
    assert (first.events, second.events, tracker.densities) == ((), (), 0)
    assert second.output.density is None and tracker.observer is None
    np.testing.assert_array_equal(second.first_box, BOX)


def test_what_is_requested_comes_with_the_target():
    tracker = ReportingTracker()
    target_tracker = TargetTracker(tracker, "car")
    first = target_tracker.initialize(IMAGE, BOX, Request(events=True), truth=BOX)
    second = target_tracker.track(IMAGE, Request(density=True))
    assert len(first.events) == 1 and first.output.density is None and first.name == "car" and first.truth is BOX
    assert second.events == () and second.output.density == "the density" and tracker.densities == 1
    assert second.seconds >= 0 and second.view_seconds >= 0 and tracker.observer is None


def test_a_box_that_is_not_finite_is_refused_and_no_observer_is_left():
    target_tracker = TargetTracker(ReportingTracker())
    with pytest.raises(ArithmeticError, match="nan"):
        target_tracker.initialize(IMAGE, BOX * np.nan, Request(events=True))
    assert target_tracker.tracker.observer is None


class Shown(View):
    def __init__(self, request=NO_REQUEST, goes_on=True, fails=False):
        self.wanted, self.goes_on, self.fails = request, goes_on, fails
        self.frames, self.closed = [], None

    def request(self):
        return self.wanted

    def show(self, frame):
        self.frames.append(frame)
        return self.goes_on

    def close(self, complete):
        self.closed = complete
        if self.fails:
            raise OSError("full")


def test_several_views_are_one():
    one, two = Shown(Request(density=True)), Shown(Request(events=True), goes_on=False)
    views = Views([one, two])
    assert views.request() == (True, True) and Views().request() == NO_REQUEST
    frame = TrackedFrame("a", 0, None, IMAGE, ())
    assert views.show(frame) is False and Views().show(frame) is True
    assert one.frames == two.frames == [frame]


def test_all_views_are_closed_even_if_one_fails():
    one, two = Shown(fails=True), Shown()
    with pytest.raises(OSError, match="full"):
        Views([one, two]).close(True)
    assert (one.closed, two.closed) == (True, True)
