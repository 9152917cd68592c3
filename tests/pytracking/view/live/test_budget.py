"""The live view's budget, with a clock that the test moves."""

import random

import pytest

from pytracking.view.live.budget import CEILING, SHARE, Budget, Slowdown


def spend_all(budget, frames, seconds, cost, kind="drawing"):
    """Draw whenever the budget allows; returns the tracker's time, the view's time, and the number of drawings."""
    tracked = spent = 0.0
    drawn = 0
    for _ in range(frames):
        budget.tracked(seconds)
        tracked += seconds
        if budget.allows(kind):
            price = cost()
            budget.spent(kind, price)
            spent += price
            drawn += 1
    return tracked, spent, drawn


def test_nothing_is_allowed_before_the_tracker_worked():
    assert not Budget().allows("drawing")


def test_cheap_drawing_is_done_every_frame():
    tracked, spent, drawn = spend_all(Budget(), 100, 0.03, lambda: 0.001)
    assert drawn == 100


def test_expensive_drawing_costs_no_more_than_its_share():
    for cost in (0.02, 0.1, 0.5):
        tracked, spent, drawn = spend_all(Budget(), 1000, 0.03, lambda cost=cost: cost)
        assert 0.8 * SHARE * tracked < spent <= SHARE * tracked + cost and drawn > 5


def test_what_costs_more_than_expected_is_earned_afterwards():
    rng = random.Random(0)
    tracked, spent, _ = spend_all(Budget(), 5000, 0.03, lambda: rng.choice([0.001, 0.001, 0.4]))
    assert spent <= SHARE * tracked + 0.4


def test_what_costs_more_than_can_be_saved_up_is_affordable_in_the_end():
    _, _, drawn = spend_all(Budget(), 2000, 0.03, lambda: 4 * CEILING)
    assert drawn >= 5


def test_savings_are_limited():
    budget = Budget()
    budget.tracked(1000.0)
    _, spent, _ = spend_all(budget, 10, 0.03, lambda: 0.5)
    assert spent <= CEILING + 0.5 + SHARE * 0.3


def test_kinds_are_paid_together_and_free_ones_are_only_learnt_from():
    budget = Budget()
    budget.tracked(0.4 / SHARE)
    budget.spent("density", 0.3, free=True)
    assert budget.allows("density") and budget.allows("drawing")
    budget.spent("drawing", 0.2, free=True)
    assert not budget.allows("density", "drawing")
    budget.tracked(0.2 / SHARE)
    assert budget.allows("density", "drawing")


def test_frames_slower_than_the_fastest_recent_ones_have_lost_time():
    slowdown_estimate = Slowdown()
    assert [slowdown_estimate.lost(0.02 + 0.0004 * (k % 10), False) for k in range(100)] == [0.0] * 100
    assert slowdown_estimate.lost(0.06, False) == pytest.approx(0.06 - 1.25 * 0.02, abs=1e-3)


def test_the_first_frames_lose_nothing():
    slowdown_estimate = Slowdown()
    assert [slowdown_estimate.lost(seconds, False) for seconds in (0.5, 0.02, 0.02)] == [0.0] * 3


def test_a_slower_machine_becomes_the_reference():
    slowdown_estimate = Slowdown()
    for _ in range(300):
        slowdown_estimate.lost(0.02, False)
    assert slowdown_estimate.lost(0.05, False) > 0
    for _ in range(300):
        slowdown_estimate.lost(0.05, False)
    assert slowdown_estimate.lost(0.05, False) == 0


def run_view(frames, others, slowdown):
    """Simulate a run: its time, the number of drawings, and the longest time without a drawing.

    Args:
        frames: of 20 ms each.
        others: gives the seconds that other programs take from a frame.
        slowdown: seconds that each of the five frames after a drawing takes longer; the drawing itself takes 5 ms.
    """
    budget, slowdown_estimate = Budget(), Slowdown()
    time = last = 0.0
    shown, slow, longest = 0, 0, 0.0
    for _ in range(frames):
        seconds = 0.02 + others() + (slowdown if slow else 0.0)
        slow = max(slow - 1, 0)
        lost = slowdown_estimate.lost(seconds, view_idle=time - last > 0.5)
        budget.tracked(seconds - max(lost, 0.0))
        budget.lost(lost)
        time += seconds
        if budget.allows("drawing"):
            budget.spent("drawing", 0.005)
            time += 0.005
            longest, last = max(longest, time - last), time
            shown, slow = shown + 1, 5
    return time, shown, max(longest, time - last)


def test_a_view_whose_drawing_slows_the_tracker_elsewhere_draws_less():
    time, shown, _ = run_view(1000, lambda: 0.0, 0.02)
    assert 20 < shown and time < 2 * 1000 * 0.02
    assert shown < run_view(1000, lambda: 0.0, 0.0)[1] / 3


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.9])
def test_a_machine_with_other_programs_does_not_stop_the_view(busy):
    """They make some frames take up to five times as long, whatever the view does."""
    rng = random.Random(0)
    time, shown, longest = run_view(3000, lambda: rng.uniform(0.02, 0.08) if rng.random() < busy else 0.0, 0.0)
    assert shown > time and longest < 5


def test_both_at_once():
    rng = random.Random(0)
    time, shown, longest = run_view(3000, lambda: rng.uniform(0.02, 0.08) if rng.random() < 0.6 else 0.0, 0.02)
    without = 3000 * (0.02 + 0.6 * 0.05)
    assert shown > 0.3 * time and longest < 8 and time < 2 * without


def test_time_lost_to_another_program_is_not_owed_forever():
    budget = Budget()
    budget.lost(100.0)
    budget.tracked(CEILING / SHARE * 1.01)
    assert budget.allows("drawing")
