import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ebm_common import RefinementResult, ascend, ascend_backtracking, ascend_early_stop

PEAK = torch.tensor([0.7, -1.2, 2.0, 0.4])
WIDTH = torch.tensor([1.0, 0.5, 2.0, 0.8])


def bump(y):
    """One maximum, value 0 at PEAK, differently steep in each dimension."""
    return -0.5 * ((y - PEAK) / WIDTH).square().sum(-1)


def wavy(y):
    """Many maxima and a fall on either side, so that every branch of the algorithms is taken."""
    return (3 * y).sin().sum(-1) - 0.1 * y.square().sum(-1)


refiners = pytest.mark.parametrize(
    "refine",
    [ascend, partial(ascend_backtracking, decay=0.5), ascend_early_stop],
    ids=["ascend", "backtracking", "early_stop"],
)


def literal_s1(energy, y, step, iterations, decay):
    """Algorithm S1, line by line, for one target y (D,)."""
    for _ in range(iterations):
        y = y.detach().requires_grad_()
        prev = energy(y)
        (grad,) = torch.autograd.grad(prev, y)
        candidate = (y + step * grad).detach()
        if energy(candidate) > prev:
            y = candidate
        else:
            step = decay * step
    return y.detach()


def literal_s2(energy, y, step, iterations, omega_1, omega_2):
    """Algorithm S2, line by line, for one target y (D,)."""
    for _ in range(iterations):
        y = y.detach().requires_grad_()
        prev = energy(y)
        (grad,) = torch.autograd.grad(prev, y)
        y = (y + step * grad).detach()
        new = energy(y)
        if abs(prev - new) < omega_1 or (new - prev) < omega_2:
            return y
    return y.detach()


@pytest.mark.parametrize(
    "refine",
    [
        partial(ascend, step=0.2),
        partial(ascend_backtracking, step=20.0, decay=0.5),
        partial(ascend_early_stop, step=0.2, stop_threshold=1e-12),
    ],
    ids=["ascend", "backtracking from far too long a step", "early_stop"],
)
def test_a_known_maximum_is_reached_from_everywhere(refine):
    start = PEAK + 2 * torch.randn(3, 10, 4)
    y, f = refine(bump, start, iterations=400)
    torch.testing.assert_close(y, PEAK.expand(3, 10, 4), atol=2e-3, rtol=0)
    torch.testing.assert_close(f, torch.zeros(3, 10), atol=1e-5, rtol=0)


@refiners
def test_result_is_detached_and_leaves_start_and_parameters_alone(refine):
    scale = torch.nn.Parameter(torch.tensor(2.0))
    start = torch.randn(2, 3, 4, requires_grad=True)
    before = start.detach().clone()
    result = refine(lambda y: scale * bump(y), start, 0.1, iterations=3)
    assert isinstance(result, RefinementResult)
    assert result.y.shape == (2, 3, 4) and result.f.shape == (2, 3)
    assert not result.y.requires_grad and not result.f.requires_grad
    assert scale.grad is None and start.grad is None and torch.equal(start, before)


@refiners
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_works_where_gradients_are_switched_off(refine, context):
    expected = refine(bump, torch.ones(1, 2, 4), 0.1, iterations=4)
    with context():
        result = refine(bump, torch.ones(1, 2, 4), 0.1, iterations=4)
        assert not torch.is_grad_enabled()
    assert torch.equal(result.y, expected.y) and not torch.equal(result.y, torch.ones(1, 2, 4))


@refiners
def test_returned_energy_is_that_of_the_returned_target(refine):
    for iterations in (0, 1, 2, 7):
        y, f = refine(wavy, torch.randn(2, 20, 3), 0.2, iterations=iterations)
        torch.testing.assert_close(f, wavy(y))


def test_ascend_can_return_the_score_before_the_last_step():
    start = torch.randn(2, 5, 4)
    before = ascend(bump, start, 0.1, 4)
    last = ascend(bump, start, 0.1, 5, score_final=False)
    torch.testing.assert_close(last.f, before.f)
    torch.testing.assert_close(last.y, ascend(bump, start, 0.1, 5).y)
    torch.testing.assert_close(ascend(bump, start, 0.1, 0, score_final=False).f, bump(start))


def test_step_has_one_value_for_each_dimension():
    start = torch.zeros(1, 1, 4)
    y, _ = ascend(bump, start, torch.tensor([0.1, 0.1, 0.0, 0.5]), 1)
    gradient = PEAK / WIDTH.square()
    torch.testing.assert_close(y[0, 0], torch.tensor([0.1, 0.1, 0.0, 0.5]) * gradient)


def test_step_may_depend_on_the_current_target():
    """ATOM's own refinement: the gradient times the present width and height, at each iteration anew."""
    y = expected = torch.tensor([[[10.0, 20.0, 30.0, 40.0]]])
    target = torch.tensor([12.0, 19.0, 28.0, 44.0])

    def energy(y):
        return -0.005 * (y - target).square().sum(-1)

    for _ in range(3):
        x, y_, w, h = expected[0, 0].tolist()
        gradient = -0.01 * (expected[0, 0] - target)
        expected = expected + gradient * torch.tensor([w, h, w, h])
    result = ascend(energy, y, lambda y: y[..., [2, 3, 2, 3]], 3)
    torch.testing.assert_close(result.y, expected)


@pytest.mark.parametrize("decay", [0.5, 0.1, 1.0])
@pytest.mark.parametrize("iterations", [1, 2, 10])
def test_backtracking_is_algorithm_s1_for_each_candidate(decay, iterations):
    start = 3 * torch.randn(3, 15, 2, dtype=torch.float64)
    step = torch.tensor([0.5, 0.2], dtype=torch.float64)
    y, _ = ascend_backtracking(wavy, start, step, iterations, decay)
    expected = torch.stack([torch.stack([literal_s1(wavy, y, step, iterations, decay) for y in row]) for row in start])
    torch.testing.assert_close(y, expected)


def test_backtracking_refuses_a_step_that_gains_nothing():
    """Strictly greater: a candidate of equal energy is not taken."""

    def tent(y):
        return -y.abs().sum(-1)

    start = torch.tensor([[[1.0]]])
    y, _ = ascend_backtracking(tent, start, 2.0, 1, 0.5)  # to -1, as high as +1
    assert y.item() == 1
    y, _ = ascend_backtracking(tent, start, 2.0, 2, 0.5)  # then with half the step to the top
    assert y.item() == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-10, 10), min_size=2, max_size=12),
    st.floats(1e-3, 1e3),
    st.floats(0.05, 1.0),
    st.integers(0, 8),
)
def test_backtracking_never_lowers_the_energy(values, step, decay, iterations):
    start = torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1)
    y, f = ascend_backtracking(wavy, start, step, iterations, decay)
    assert (f >= wavy(start)).all()
    assert (wavy(y) >= wavy(start)).all()


def test_backtracking_evaluates_each_point_once():
    calls = []

    def counted(y):
        calls.append(torch.is_grad_enabled())
        return wavy(y)

    ascend_backtracking(counted, torch.randn(1, 4, 2), 0.3, 6, 0.5)
    assert calls == [True] * 6 + [False]


@pytest.mark.parametrize("iterations", [1, 5, 30])
def test_early_stop_is_algorithm_s2_for_each_candidate(iterations):
    start = 3 * torch.randn(3, 25, 2, dtype=torch.float64)
    args = (0.08, iterations, 0.001, -0.01)
    y, _ = ascend_early_stop(wavy, start, *args)
    expected = torch.stack([torch.stack([literal_s2(wavy, y, *args) for y in row]) for row in start])
    torch.testing.assert_close(y, expected)
    if iterations == 30:  # some must have stopped early for the test to say anything
        assert not torch.allclose(y, ascend(wavy, start, 0.08, 30).y)


def test_early_stop_keeps_the_step_that_falls_and_makes_no_other():
    start = torch.full((1, 1, 4), 3.0)
    y, f = ascend_early_stop(bump, start, 10.0, 5)
    torch.testing.assert_close(y, ascend(bump, start, 10.0, 1).y)
    assert f < bump(start)


def test_early_stop_saves_evaluations_when_all_have_stopped():
    calls = 0

    def counted(y):
        nonlocal calls
        calls += 1
        return bump(y)

    ascend_early_stop(counted, PEAK.expand(1, 6, 4), 0.1, 100)
    assert calls == 2


@refiners
def test_a_candidate_without_a_finite_gradient_stays_and_the_others_go_on(refine):
    def energy(y):  # infinite slope at 0, NaN below
        return y.sqrt().sum(-1) - y.sum(-1)

    start = torch.tensor([[[0.0, 0.5], [0.04, 0.04], [-1.0, 1.0]]])
    y, _ = refine(energy, start, 0.01, iterations=5)
    assert torch.equal(y[:, [0, 2]], start[:, [0, 2]])
    assert (y[0, 1] > start[0, 1]).all()


@refiners
def test_an_overflowing_step_is_not_taken(refine):
    start = torch.ones(1, 2, 4)
    y, _ = refine(bump, start, torch.tensor([1e38, 1e38, 1e38, 1e38]) * 10, iterations=3)
    assert torch.equal(y, start)


@pytest.mark.parametrize("refine", [partial(ascend_backtracking, decay=0.5), ascend_early_stop])
def test_a_step_to_where_the_energy_is_nan_is_not_taken(refine):
    def energy(y):
        return torch.where(y > 1, math.nan, y).sum(-1)

    start = torch.tensor([[[0.5]]])
    y, f = refine(energy, start, 0.7, iterations=1)
    assert y.item() == 0.5 and f.item() == 0.5


@refiners
def test_candidates_do_not_influence_each_other(refine):
    start = 3 * torch.randn(2, 6, 3)
    together = refine(wavy, start, 0.2, iterations=6)
    alone = refine(wavy, start[1:, 4:5], 0.2, iterations=6)
    torch.testing.assert_close(together.y[1, 4], alone.y[0, 0])
    torch.testing.assert_close(together.f[1, 4], alone.f[0, 0])


@refiners
def test_misuse_is_refused(refine):
    y = torch.zeros(1, 2, 4)
    with pytest.raises(ValueError, match=r"\(1, 2, 4\) to \(1, 2, 1\)"):
        refine(lambda y: bump(y)[..., None], y, 0.1, iterations=2)
    with pytest.raises(ValueError, match="differentiated"):
        refine(lambda y: bump(y.detach()), y, 0.1, iterations=2)
    weight = torch.ones(4, requires_grad=True)  # f has a gradient, but none in y
    with pytest.raises(ValueError, match="differentiated"):
        refine(lambda y: (weight * y.detach()).sum(-1), y, 0.1, iterations=2)
    with pytest.raises(ValueError, match="iterations"):
        refine(bump, y, 0.1, iterations=-1)


@pytest.mark.parametrize("decay", [0.0, -0.5, 1.5])
def test_a_decay_that_does_not_shorten_is_refused(decay):
    with pytest.raises(ValueError, match="decay"):
        ascend_backtracking(bump, torch.zeros(1, 1, 4), 0.1, 2, decay)


class ClosedForm:
    """-|y|^2 / 2 with its gradient, and no graph: autograd would find nothing to differentiate."""

    def __init__(self):
        self.calls = 0

    def __call__(self, y):
        return -0.5 * y.detach().square().sum(-1)

    def value_and_grad(self, y):
        self.calls += 1
        return self(y), -y


@pytest.mark.parametrize("climb", [ascend, partial(ascend_backtracking, decay=0.5), ascend_early_stop])
def test_a_gradient_in_closed_form_takes_the_place_of_autograd(climb):
    y, energy = torch.randn(2, 3, 4), ClosedForm()
    found = climb(energy, y, step=0.5, iterations=4)
    expected = climb(lambda v: -0.5 * v.square().sum(-1), y, step=0.5, iterations=4)
    torch.testing.assert_close(found.y, expected.y)
    torch.testing.assert_close(found.f, expected.f)
    assert energy.calls >= 2


def test_a_gradient_of_another_shape_is_refused():
    energy = ClosedForm()
    energy.value_and_grad = lambda y: (energy(y), y[..., :1])
    with pytest.raises(ValueError, match="gradient"):
        ascend(energy, torch.randn(1, 2, 4), 0.1, 1)
