"""The live view with a stand-in for the connection to visdom's server."""

import threading
import time

import pytest

from pytracking.view.base import NO_REQUEST, Request
from pytracking.view.live.blocks import (
    BLOCKS,
    DENSITY,
    HELP,
    LOSS,
    MARGINALS,
    PLOTS,
    POSITIONS,
    SCORES,
    STATUS,
    TIME,
    TRACKING,
)
from pytracking.view.live.client import ServerError
from pytracking.view.live.controls import REPEAT
from pytracking.view.live.visdom_view import VisdomView
from tests.helpers.comparing import wait_for
from tests.helpers.live_frames import live_frame


class Connection:
    """Keeps what is shown; reaches the server while there is one."""

    def __init__(self, server, port, positions, on_event, on_lost):
        self.address = f"http://{server}:{port}"
        self.positions, self.event, self.on_lost = positions, on_event, on_lost
        self.there = self.guarded = True
        self.connected = False
        self.windows = {}
        self.shown = []
        self.closed = False
        self.slow = threading.Event()
        self.slow.set()

    def connect(self):
        if not self.there:
            raise ServerError("there is no connection")
        self.windows.clear()
        self.connected = True

    def show(self, window):
        assert self.slow.wait(10)
        self._check()
        self.windows[window.title] = window
        self.shown.append(window.title)

    def hide(self, title):
        self._check()
        del self.windows[title]

    def forget(self, title):
        self.windows.pop(title, None)

    def close(self):
        self.closed = True
        self.connected = False

    def lose(self):
        self.there = self.connected = False
        self.windows.clear()
        self.on_lost()

    def press(self, key):
        self.event({"event_type": "KeyPress", "key": key, "target": TRACKING})

    def switch(self, block, on):
        self.event({"event_type": "PropertyUpdate", "propertyId": [*PLOTS, HELP].index(block), "value": on})

    def _check(self):
        if not self.connected:
            raise ServerError("gone")


class Watched:
    """A view with its connection, what it said, and a clock that only the test moves."""

    def __init__(self, there=True):
        self.said, self.now = [], 0.0

        def connection(*arguments):
            self.connection = Connection(*arguments)
            self.connection.there = there
            return self.connection

        self.view = VisdomView("localhost", 1234, connection, self.said.append, lambda: self.now, lambda: 0.0)
        self.index = 0

    def frame(self, wait=True, total=None, **options):
        """Track a frame as requested, and wait until it is drawn."""
        request = self.view.request()
        self.view.show(live_frame(self.index, total, request.density, request.events, **options))
        self.index += 1
        self.now += 0.3
        if wait:
            self.settle()
        return request

    def settle(self):
        wait_for(lambda: not self.view._busy and self.view._pending is None and not self.view._stale)

    def status(self):
        return self.connection.windows[STATUS].data[0]["content"]

    def number(self):
        return int(self.status().split("frame</td><td>")[1].split("<")[0].split()[0])


@pytest.fixture
def watched():
    watched = Watched()
    yield watched
    watched.view._controls.resume()
    watched.view.close(False)


def paused(watched):
    """Press space; returns the thread that then waits in a frame, which has all its plots."""
    watched.connection.press(" ")
    thread = threading.Thread(target=watched.frame, kwargs={"wait": False}, daemon=True)
    thread.start()
    wait_for(lambda: "paused" in watched.status() and watched.number() == watched.index + 1)
    watched.settle()
    return thread


def title(watched, block):
    return watched.connection.windows[block].layout["title"]["text"]


def test_every_window_is_made_in_order(watched):
    for _ in range(3):
        watched.frame()
    assert set(watched.connection.windows) == set(POSITIONS)
    made = list(dict.fromkeys(watched.connection.shown))
    assert made == list(POSITIONS)
    assert watched.said == ["live view: http://localhost:1234"]


def test_the_first_frame_is_asked_for_its_events(watched):
    assert watched.frame().events
    assert "first frame" in [trace["name"] for trace in watched.connection.windows[LOSS].data]


def test_what_is_asked_for_is_what_the_blocks_need(watched):
    watched.frame()
    assert watched.frame() == Request(density=True, events=True)
    for block in (DENSITY, MARGINALS, TIME):
        watched.connection.switch(block, False)
    assert watched.frame() == Request(density=False, events=True)
    for block in PLOTS:
        watched.connection.switch(block, False)
    assert watched.frame() == NO_REQUEST
    assert set(watched.connection.windows) == {TRACKING, STATUS, BLOCKS, HELP}
    watched.connection.switch(DENSITY, True)
    assert watched.frame() == Request(density=True, events=False)
    assert "heatmap" in [trace["type"] for trace in watched.connection.windows[DENSITY].data]
    boxes = {box["name"]: box["value"] for box in watched.connection.windows[BLOCKS].data[0]["content"]}
    assert boxes == {**dict.fromkeys(PLOTS, False), DENSITY: True, HELP: True}


def test_nothing_is_asked_for_while_it_would_cost_too_much(watched):
    watched.frame()
    watched.frame(view_seconds=1.0)
    requests = [watched.frame(seconds=0.02) for _ in range(20)]
    assert not any(requests[0]) and not any(any(request) for request in requests)
    assert any(watched.frame(seconds=0.02).density for _ in range(200))  # it has earned that by now


def test_a_tracker_that_is_slowed_by_the_view_is_asked_for_less(watched):
    """The cost of the page shows only in the tracker's frames."""
    for _ in range(40):
        watched.frame(seconds=0.02)
    slowed = [watched.frame(seconds=0.06) for _ in range(30)]
    assert not any(any(request) for request in slowed[15:])
    assert any(any(watched.frame(seconds=0.02)) for _ in range(300))


def test_frames_come_no_faster_than_a_page_draws_them(watched):
    watched.frame()
    watched.frame()
    watched.now -= 0.29
    drawn = len(watched.connection.shown)
    assert watched.frame() == NO_REQUEST
    assert len(watched.connection.shown) == drawn and "1 tracked frames" not in watched.status()
    watched.frame()
    assert "1 tracked frames" in watched.status()


def test_a_slow_server_costs_frames_of_the_view_and_no_time_of_the_tracker(watched):
    watched.frame()
    watched.connection.slow.clear()
    for _ in range(10):
        watched.frame(wait=False)
    assert watched.index == 11
    watched.connection.slow.set()
    watched.settle()
    watched.frame()
    assert watched.number() == 12 and "9 tracked frames" in watched.status()


def test_space_pauses_after_a_frame_with_plots_and_the_arrow_steps(watched):
    watched.frame()
    watched.frame(view_seconds=100.0)  # the budget does not matter while the user waits
    thread = paused(watched)
    number = watched.number()
    assert f"frame {number}" in title(watched, DENSITY)
    time.sleep(0.05)
    assert thread.is_alive() and watched.number() == number
    watched.connection.press("ArrowRight")
    thread.join(5)
    assert not thread.is_alive()
    watched.now += 1
    thread = threading.Thread(target=watched.frame, kwargs={"wait": False}, daemon=True)
    thread.start()
    wait_for(lambda: watched.number() == number + 1 and f"frame {number + 1}" in title(watched, DENSITY))
    assert "paused" in watched.status()
    time.sleep(2 * REPEAT)
    watched.connection.press(" ")
    thread.join(5)
    assert not thread.is_alive()
    wait_for(lambda: "running" in watched.status())


def test_a_block_switched_on_during_a_pause_shows_the_frame_that_the_user_waits_for(watched):
    watched.frame()
    watched.frame()
    watched.connection.switch(SCORES, False)
    thread = paused(watched)
    assert SCORES not in watched.connection.windows
    watched.connection.switch(SCORES, True)
    wait_for(lambda: SCORES in watched.connection.windows)
    assert f"frame {watched.number()}" in title(watched, SCORES)
    time.sleep(2 * REPEAT)
    watched.connection.press(" ")
    thread.join(5)
    assert not thread.is_alive()


def test_a_window_that_the_user_closes_stays_closed_unless_it_is_needed(watched):
    watched.frame()
    watched.frame()
    for window in (DENSITY, TRACKING, BLOCKS):
        watched.connection.windows.pop(window)
        watched.connection.event({"event_type": "close", "target": window})
    watched.frame()
    assert DENSITY not in watched.connection.windows
    assert {TRACKING, BLOCKS} <= set(watched.connection.windows)


def test_a_missing_server_is_reported_once_and_the_run_continues(monkeypatch):
    monkeypatch.setattr("pytracking.view.live.visdom_view.RETRY_INTERVAL", 0.01)
    watched = Watched(there=False)
    for _ in range(5):
        assert watched.frame(wait=False) == NO_REQUEST
    time.sleep(0.1)
    assert len(watched.said) == 1
    assert "http://localhost:1234" in watched.said[0] and "ebm-view" in watched.said[0]
    watched.connection.there = True
    wait_for(lambda: watched.connection.connected)
    watched.frame()
    watched.frame()
    assert set(watched.connection.windows) == set(POSITIONS) and len(watched.said) == 2
    watched.view.close(True)
    assert watched.connection.closed and len(watched.said) == 2


def test_a_lost_server_is_reported_once_and_may_return(watched, monkeypatch):
    monkeypatch.setattr("pytracking.view.live.visdom_view.RETRY_INTERVAL", 0.01)
    watched.frame()
    watched.frame()
    thread = paused(watched)
    watched.connection.lose()
    thread.join(5)
    assert not thread.is_alive()  # nobody could press a key any more
    for _ in range(3):
        assert watched.frame(wait=False) == NO_REQUEST
    assert len(watched.said) == 2 and "gone" in watched.said[1] and "paused" in watched.said[1]
    watched.connection.there = True
    wait_for(lambda: set(watched.connection.windows) == set(POSITIONS))  # without waiting for another frame
    watched.frame()
    assert watched.number() == watched.index and len(watched.said) == 3


def test_the_last_frame_is_shown_whatever_it_costs():
    watched = Watched()
    for _ in range(5):
        watched.frame(seconds=1e-6)
    watched.view.close(True)
    assert watched.number() == 5 and "finished" in watched.status()
    stopped = Watched()
    stopped.frame()
    stopped.view.close(False)
    assert "stopped" in stopped.status()


def test_a_second_sequence_starts_a_new_history(watched):
    for _ in range(4):
        watched.frame(total=4)
    assert len(watched.connection.windows[TIME].data[0]["x"]) == 4
    watched.index = 0
    assert watched.frame(total=4).events
    watched.frame(total=4)
    assert watched.connection.windows[TIME].data[0]["x"] == [1, 2]


def test_blocks_without_data_say_so_in_words(watched):
    watched.frame()
    watched.view.request()
    watched.view.show(live_frame(1, None, density=False, told=False, energy=None))
    watched.settle()
    for block in (DENSITY, MARGINALS, SCORES):
        assert watched.connection.windows[block].layout["annotations"][0]["text"], block
    assert "no p(y|x)" in watched.connection.windows[DENSITY].layout["annotations"][0]["text"]


def test_an_error_of_the_view_ends_the_view_and_not_the_run(watched, monkeypatch):
    watched.frame()
    monkeypatch.setattr("pytracking.view.live.page.status_html", lambda *arguments: 1 / 0)
    watched.frame(wait=False)
    wait_for(lambda: len(watched.said) == 2)
    assert "ZeroDivisionError" in watched.said[1] and "continues" in watched.said[1]
    watched.connection.press(" ")
    for _ in range(3):
        assert watched.frame(wait=False) == NO_REQUEST


def test_a_server_that_any_page_can_command_is_named_as_such(watched):
    watched.connection.lose()
    watched.connection.there, watched.connection.guarded = True, False
    watched.view._redraw()
    wait_for(lambda: len(watched.said) == 3)
    assert "visdom's own server" in watched.said[2] and "ebm-view refuses them" in watched.said[2]
