import math

import pytest
import torch

from ebm_common import contrastive_divergence, langevin_sample

MEAN, SIGMA = torch.tensor([0.7, -0.3]), torch.tensor([0.5, 0.2])


def gaussian(y):
    return -0.5 * ((y - MEAN) / SIGMA).square().sum(-1)


def test_one_step_by_hand():
    y, step = torch.randn(2, 3, 2), torch.tensor([0.1, 0.05])
    found = langevin_sample(gaussian, y, step, 1, torch.Generator().manual_seed(3))
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(found, y - step**2 / 2 * (y - MEAN) / SIGMA**2 + step * noise)


def test_stationary_density_is_the_gaussian():
    """From a single far point; the step of half a width makes the variance 1 / (1 - 1/16) times as large, exactly."""
    y = langevin_sample(gaussian, torch.full((1, 40_000, 2), 2.0), 0.5 * SIGMA, 60)[0]
    assert ((y.mean(dim=0) - MEAN).abs() < 5 * SIGMA / 200).all()
    torch.testing.assert_close(y.var(dim=0), SIGMA**2 * 16 / 15, rtol=0.03, atol=0)
    z = (y - y.mean(dim=0)) / y.std(dim=0)
    torch.testing.assert_close(z.pow(4).mean(dim=0), torch.full((2,), 3.0), atol=0.15, rtol=0)
    assert abs(torch.corrcoef(y.T)[0, 1]) < 0.025


def test_both_modes_are_filled_as_their_weights_say():
    def two(y):  # 0.25 N(-1, 0.6^2) + 0.75 N(1, 0.6^2)
        modes = torch.tensor([-1.0, 1.0])
        return torch.logsumexp(-0.5 * ((y - modes) / 0.6).square() + torch.tensor([0.25, 0.75]).log(), dim=-1)

    y = langevin_sample(two, torch.zeros(1, 8000, 1), 0.2, 400)
    right = 0.75 * 0.5 * (1 + math.erf(1 / 0.6 / math.sqrt(2))) + 0.25 * 0.5 * (1 - math.erf(1 / 0.6 / math.sqrt(2)))
    assert (y > 0).float().mean().item() == pytest.approx(right, abs=0.03)


def test_samples_repeat_with_a_generator_and_leave_the_global_one_alone():
    y, state = torch.zeros(2, 3, 2), torch.get_rng_state()
    first, second = (langevin_sample(gaussian, y, 0.1, 5, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second) and torch.equal(state, torch.get_rng_state())
    assert torch.equal(y, torch.zeros(2, 3, 2))  # the start is not overwritten
    assert torch.equal(langevin_sample(gaussian, y, 0.1, 0), y)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_samples_carry_no_graph_and_need_no_gradients_switched_on(context):
    scale = torch.nn.Parameter(torch.tensor(2.0))
    with context():
        y = langevin_sample(lambda y: scale * gaussian(y), torch.zeros(1, 4, 2), 0.1, 3)
    assert not y.requires_grad and not y.is_inference() and scale.grad is None
    contrastive_divergence(torch.zeros(1), scale * gaussian(y)).backward()  # the samples can be trained on
    assert scale.grad.isfinite()


def test_a_chain_whose_step_is_not_finite_stays_and_the_others_go_on():
    y = torch.tensor([[[0.0], [0.5]]])
    found = langevin_sample(lambda y: y.sqrt().sum(-1) - y.sum(-1), y, 1e-3, 4)
    assert found[0, 0] == 0 and found[0, 1] != 0.5 and found.isfinite().all()


def test_a_gradient_in_closed_form_is_used():
    class ClosedForm:
        def __call__(self, y):
            return gaussian(y).detach()

        def value_and_grad(self, y):
            return self(y), -(y - MEAN) / SIGMA**2

    y = torch.randn(1, 3, 2)
    found, expected = (
        langevin_sample(e, y, 0.1, 5, torch.Generator().manual_seed(1)) for e in (ClosedForm(), gaussian)
    )
    torch.testing.assert_close(found, expected)


def test_half_precision_walks_in_single():
    y = langevin_sample(gaussian, torch.full((1, 100, 2), 8.0).half(), 1e-3, 1)
    assert y.dtype == torch.float32
    assert (y != 8).all()  # float16 has steps of 0.008 at 8


def test_contrastive_divergence_by_hand():
    f_label, f_samples = torch.tensor([1.0, -2.0]), torch.tensor([[2.0, 4.0], [0.0, 1.0]])
    assert contrastive_divergence(f_label, f_samples).item() == pytest.approx(((3 - 1) + (0.5 + 2)) / 2)


@pytest.mark.parametrize("offset", [-1e4, 1e4])
def test_a_constant_added_to_the_energy_changes_nothing(offset):
    f_label, f_samples = torch.randn(4), torch.randn(4, 1000)
    expected = contrastive_divergence(f_label, f_samples)
    torch.testing.assert_close(
        contrastive_divergence(f_label + offset, f_samples + offset), expected, atol=1e-3, rtol=0
    )
    half = contrastive_divergence(f_label.half(), f_samples.half())
    assert half.dtype == torch.float32


def test_gradient_is_that_of_the_likelihood():
    """With draws from the model itself: d/dm of log Z - f is (m - y) / s^2 on average over the labels y."""
    mean = torch.tensor([0.2], requires_grad=True)
    labels = torch.tensor([[0.1], [0.9]])
    samples = 0.2 + 0.5 * torch.randn(2, 100_000, 1)

    def energy(y):
        return -0.5 * ((y - mean) / 0.5).square().sum(-1)

    contrastive_divergence(energy(labels[:, None])[:, 0], energy(samples)).backward()
    assert mean.grad.item() == pytest.approx((0.2 - 0.5) / 0.25, abs=0.02)


def test_misuse_is_refused():
    y = torch.zeros(1, 2, 2)
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        langevin_sample(gaussian, y[0], 0.1, 1)
    with pytest.raises(ValueError, match="iterations"):
        langevin_sample(gaussian, y, 0.1, -1)
    with pytest.raises(ValueError, match=r"\(1, 2, 2\) to \(1, 2, 1\)"):
        langevin_sample(lambda y: gaussian(y)[..., None], y, 0.1, 1)
    with pytest.raises(ValueError, match="differentiated"):
        langevin_sample(lambda y: gaussian(y.detach()), y, 0.1, 1)
    for label, samples in (((3,), (2, 5)), ((2, 1), (2, 5)), ((2,), (2,)), ((2,), (2, 0))):
        with pytest.raises(ValueError, match="shape"):
            contrastive_divergence(torch.zeros(label), torch.zeros(samples))
