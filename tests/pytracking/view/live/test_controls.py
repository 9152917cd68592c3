"""Keys and check boxes of the page, as the events that visdom sends."""

import threading

import pytest

from pytracking.view.live.controls import CLOSING, REPEAT, Controls


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def controls(clock):
    return Controls(("A", "B"), clock=clock)


def press(controls, key, target="A", seconds=1.0):
    controls._clock.now += seconds
    controls.handle({"event_type": "KeyPress", "key": key, "target": target})


def held(controls):
    """A thread that waits in `wait_while_paused`."""
    thread = threading.Thread(target=controls.wait_while_paused, daemon=True)
    thread.start()
    thread.join(0.1)
    return thread


def test_while_running_nothing_is_held(controls):
    controls.wait_while_paused()
    assert not controls.paused


def test_space_pauses_and_resumes(controls):
    press(controls, " ")
    assert controls.paused
    waiting = held(controls)
    assert waiting.is_alive()
    press(controls, " ")
    waiting.join(5)
    assert not waiting.is_alive() and not controls.paused


def test_the_arrow_pauses_and_then_lets_one_frame_through_for_each_press(controls):
    press(controls, "ArrowRight")
    assert controls.paused
    waiting = held(controls)
    assert waiting.is_alive()
    press(controls, "ArrowRight")
    waiting.join(5)
    assert not waiting.is_alive() and controls.paused
    press(controls, "ArrowRight")
    press(controls, "ArrowRight")
    controls.wait_while_paused()
    controls.wait_while_paused()
    waiting = held(controls)
    assert waiting.is_alive()
    controls.resume()
    waiting.join(5)


def test_resuming_forgets_pending_steps(controls):
    for key in (" ", "ArrowRight", " ", " "):
        press(controls, key)
    waiting = held(controls)
    assert waiting.is_alive()
    assert controls.resume() and not controls.resume()
    waiting.join(5)


def test_a_key_that_the_page_reports_twice_is_one(controls):
    press(controls, " ")
    press(controls, " ", seconds=REPEAT / 2)
    assert controls.paused
    press(controls, " ", seconds=2 * REPEAT)
    assert not controls.paused


def test_check_boxes_switch_blocks(controls):
    controls.handle({"event_type": "PropertyUpdate", "propertyId": 1, "value": False, "target": "Blocks"})
    assert controls.blocks == {"A": True, "B": False}
    controls.handle({"event_type": "PropertyUpdate", "propertyId": 1, "value": True, "target": "Blocks"})
    assert controls.blocks == {"A": True, "B": True}


def test_a_window_that_the_user_closes_is_a_block_switched_off(controls, clock):
    controls.handle({"event_type": "close", "target": "A"})
    assert controls.blocks == {"A": False, "B": True}
    # The page also reports a window that was closed with its block, perhaps after the block is on again.
    controls.handle({"event_type": "PropertyUpdate", "propertyId": 1, "value": False})
    controls.handle({"event_type": "PropertyUpdate", "propertyId": 1, "value": True})
    clock.now += CLOSING / 2
    controls.handle({"event_type": "close", "target": "B"})
    assert controls.blocks["B"]


def test_unknown_events_change_nothing():
    told = []
    controls = Controls(("A",), lambda: told.append(1))
    for event in (
        {},
        {"event_type": "Click", "target": "A"},
        {"event_type": "KeyPress", "key": "x"},
        {"event_type": "KeyPress"},
        {"event_type": "PropertyUpdate", "propertyId": 7, "value": False},
        {"event_type": "PropertyUpdate", "propertyId": "A", "value": False},
    ):
        controls.handle(event)
    assert not controls.paused and controls.blocks == {"A": True} and not told
    controls.handle({"event_type": "KeyPress", "key": " "})
    assert told
