import subprocess
import sys

import cv2
import numpy as np
import pytest

from ltr.common.errors import UserError
from pytracking.view import window as window_module
from pytracking.view.base import View
from pytracking.view.picture import draw_frame
from pytracking.view.window import ImageWindow, WindowView, choose_boxes, why_no_window
from tests.helpers.fake_window import FakeWindow
from tests.helpers.view_frames import corner_density, target, tracked_frame

SPACE, ESCAPE, ENTER = 32, 27, 13
RIGHT = (65363, 2555904, 63235, ord("n"), ord("."))


def test_frames_are_shown_as_they_are_drawn_and_enlarged(monkeypatch):
    fake = FakeWindow(monkeypatch)
    view: View = WindowView("clip")
    frames = [tracked_frame(index=index) for index in range(3)]
    assert all([view.show(one) for one in frames])
    assert all(np.array_equal(shown, draw_frame(one, 8)) for shown, one in zip(fake.shown, frames, strict=True))
    assert fake.open == {"clip"}
    view.close(True)
    assert not fake.open


def test_the_density_is_requested_and_drawn(monkeypatch):
    fake = FakeWindow(monkeypatch)
    one = tracked_frame(target((20, 25, 30, 25), density=corner_density(50, 25)))
    assert WindowView("a").request() == (False, False) and WindowView("a", density=True).request() == (True, False)
    WindowView("a", density=True).show(one)
    WindowView("a").show(one)
    assert np.array_equal(fake.shown[0], draw_frame(one, 8)) and (fake.shown[0] != fake.shown[1]).any()


@pytest.mark.parametrize("key", [ord("q"), ord("Q"), ESCAPE, None])
@pytest.mark.parametrize("paused", [False, True])
def test_the_user_ends_the_run(monkeypatch, key, paused):
    FakeWindow(monkeypatch, [-1, *([SPACE, -1] if paused else []), key])
    view = WindowView("clip")
    assert view.show(tracked_frame()) and not view.show(tracked_frame())
    view.close(False)


def test_space_pauses_until_space(monkeypatch):
    fake = FakeWindow(monkeypatch, [SPACE, -1, -1, ord("x"), SPACE])
    view = WindowView("clip")
    assert view.show(tracked_frame())
    assert not fake.keys and len(fake.waits) == 5  # it did not return before
    assert view.show(tracked_frame())
    assert len(fake.waits) == 6


@pytest.mark.parametrize("key", RIGHT)
def test_stepping_stays_paused(monkeypatch, key):
    fake = FakeWindow(monkeypatch, [SPACE, -1, key, -1, key, -1, SPACE, -1])
    view = WindowView("clip")
    waits = []
    for _ in range(4):
        assert view.show(tracked_frame())
        waits.append(len(fake.waits))
    assert waits == [3, 5, 7, 8]


def test_a_step_while_it_runs_pauses(monkeypatch):
    fake = FakeWindow(monkeypatch, [ord("n"), -1, -1, SPACE])
    view = WindowView("clip")
    waits = []
    for _ in range(3):
        assert view.show(tracked_frame())
        waits.append(len(fake.waits))
    assert waits == [1, 4, 5]


def test_a_backend_that_cannot_tell_whether_its_window_exists(monkeypatch):
    FakeWindow(monkeypatch)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: -1.0)
    assert WindowView("clip").show(tracked_frame())


def test_opencv_without_windows_is_explained(monkeypatch):
    FakeWindow(monkeypatch)

    def fails(*_):
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr(cv2, "namedWindow", fails)
    with pytest.raises(UserError, match="--no_display"):
        ImageWindow("clip").show(np.zeros((9, 9, 3), np.uint8))


def test_closing_twice_or_before_opening(monkeypatch):
    FakeWindow(monkeypatch)
    view = WindowView("clip")
    view.close(True)
    view.show(tracked_frame())
    view.close(True)
    view.close(True)


def test_boxes_are_drawn_on_the_enlarged_picture(monkeypatch):
    fake = FakeWindow(monkeypatch, boxes=[(80, 160, 240, 200), (8, 16, 24, 20)])
    image = np.full((60, 80, 3), (255, 0, 0), np.uint8)
    chosen_on, boxes = choose_boxes("clip", [image, image * 0])
    assert chosen_on is image and np.array_equal(boxes, [(10, 20, 30, 25), (1, 2, 3, 2.5)])
    assert [shown.shape for shown in fake.shown] == [(480, 640, 3)] * 3 and not fake.open
    assert (fake.shown[0][200, 400] == (255, 0, 0)).all()  # red is red
    assert (fake.shown[1] != fake.shown[0]).any() and (fake.shown[2] != fake.shown[1]).any()


def test_no_box_is_an_error(monkeypatch):
    fake = FakeWindow(monkeypatch)
    with pytest.raises(UserError, match="no box was drawn.*--box"):
        choose_boxes("clip", [np.zeros((60, 80, 3), np.uint8)])
    assert not fake.open


def test_a_live_picture_is_held_by_a_key(monkeypatch):
    images = [np.full((60, 80, 3), value, np.uint8) for value in range(5)]
    FakeWindow(monkeypatch, [-1, -1, SPACE], [(8, 8, 80, 80)])
    image, boxes = choose_boxes("camera", images, live=True)
    assert image is images[2] and np.array_equal(boxes, [(1, 1, 10, 10)])
    FakeWindow(monkeypatch, [-1, ESCAPE])
    with pytest.raises(UserError, match="no box was drawn"):
        choose_boxes("camera", images, live=True)
    FakeWindow(monkeypatch)
    with pytest.raises(UserError, match="ended before"):
        choose_boxes("camera", images, live=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="DISPLAY is Linux's")
def test_without_a_display_no_window_is_tried(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it was tried"))
    assert "no display" in why_no_window()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="DISPLAY is Linux's")
def test_a_display_that_does_not_answer_does_not_end_the_process(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":9876")
    assert "cannot open one" in why_no_window()


def test_no_reason_is_given_if_windows_open(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(window_module.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0))
    assert why_no_window() is None
