"""What the live view may cost, by a clock that the test moves."""

import random

from pytracking.view.budget import CEILING, SHARE, Budget


def spend_all(budget, frames, seconds, cost, kind="drawing"):
    """Draw whenever it is allowed; returns the tracker's time, the view's, and the number drawn."""
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


def test_dear_drawing_costs_no_more_than_its_share():
    for cost in (0.02, 0.1, 0.5):
        tracked, spent, drawn = spend_all(Budget(), 1000, 0.03, lambda cost=cost: cost)
        assert 0.8 * SHARE * tracked < spent <= SHARE * tracked + cost and drawn > 5


def test_what_costs_more_than_expected_is_earned_afterwards():
    rng = random.Random(0)
    tracked, spent, _ = spend_all(Budget(), 5000, 0.03, lambda: rng.choice([0.001, 0.001, 0.4]))
    assert spent <= SHARE * tracked + 0.4


def test_what_costs_more_than_can_be_saved_up_is_affordable_all_the_same():
    _, _, drawn = spend_all(Budget(), 2000, 0.03, lambda: 4 * CEILING)
    assert drawn >= 5


def test_saving_up_ends_somewhere():
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
