"""A follower asks of its tracker what the views wish for, and no more."""

import numpy as np
import pytest

from pytracking.tracker.base import BaseTracker, TrackerOutput
from pytracking.tracker.events import OptimizerLoss
from pytracking.view.following import Follower
from pytracking.view.scene import NOTHING, Scene, View, Views, Wish

IMAGE = np.zeros((8, 8, 3), np.uint8)
BOX = np.array([1.0, 2.0, 3.0, 4.0])


class Talkative(BaseTracker):
    """Tells its observer of every frame, and counts what it is asked."""

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


def test_without_a_wish_nothing_is_asked_for():
    tracker = Talkative()
    follower = Follower(tracker)
    first, second = follower.start(IMAGE, BOX), follower.follow(IMAGE)
    assert (first.events, second.events, tracker.densities) == ((), (), 0)
    assert second.output.density is None and tracker.observer is None
    np.testing.assert_array_equal(second.first_box, BOX)


def test_what_is_wished_for_comes_with_the_target():
    tracker = Talkative()
    follower = Follower(tracker, "car")
    first = follower.start(IMAGE, BOX, Wish(events=True), truth=BOX)
    second = follower.follow(IMAGE, Wish(density=True))
    assert len(first.events) == 1 and first.output.density is None and first.name == "car" and first.truth is BOX
    assert second.events == () and second.output.density == "the density" and tracker.densities == 1
    assert second.seconds >= 0 and second.view_seconds >= 0 and tracker.observer is None


def test_a_box_that_is_not_finite_is_refused_and_nobody_is_left_listening():
    follower = Follower(Talkative())
    with pytest.raises(ArithmeticError, match="nan"):
        follower.start(IMAGE, BOX * np.nan, Wish(events=True))
    assert follower.tracker.observer is None


class Shown(View):
    def __init__(self, wish=NOTHING, goes_on=True, fails=False):
        self.wishes, self.goes_on, self.fails = wish, goes_on, fails
        self.scenes, self.closed = [], None

    def wish(self):
        return self.wishes

    def show(self, scene):
        self.scenes.append(scene)
        return self.goes_on

    def close(self, complete):
        self.closed = complete
        if self.fails:
            raise OSError("full")


def test_several_views_are_one():
    one, two = Shown(Wish(density=True)), Shown(Wish(events=True), goes_on=False)
    views = Views([one, two])
    assert views.wish() == (True, True) and Views().wish() == NOTHING
    scene = Scene("a", 0, None, IMAGE, ())
    assert views.show(scene) is False and Views().show(scene) is True
    assert one.scenes == two.scenes == [scene]


def test_all_views_are_closed_even_if_one_fails():
    one, two = Shown(fails=True), Shown()
    with pytest.raises(OSError, match="full"):
        Views([one, two]).close(True)
    assert (one.closed, two.closed) == (True, True)
