import math

import pytest
import torch

from ebm_common import GaussianMixtureProposal
from ebm_common.density import log_partition_grid


def normal(y, mean, sigma):
    return math.exp(-0.5 * ((y - mean) / sigma) ** 2) / (math.sqrt(2 * math.pi) * sigma)


@pytest.mark.parametrize("sigmas", [[0.3], [0.1, 0.8], [[0.2, 0.5], [0.5, 0.1]], [[0.4, 0.4], [0.1, 0.2], [0.3, 1.0]]])
def test_density_integrates_to_one_on_a_grid(sigmas):
    q = GaussianMixtureProposal(sigmas)
    dim = torch.tensor(sigmas).ndim
    center = torch.tensor([[1.0, -2.0], [0.0, 5.0]])[:, :dim]
    log_z = log_partition_grid(lambda y: q.log_prob(y, center), center - 6, center + 6, 4000 if dim == 1 else 300)
    torch.testing.assert_close(log_z, torch.zeros(2), atol=1e-4, rtol=0)


def test_density_integrates_to_one_in_four_dimensions():
    """Monte Carlo with a single wide Gaussian of torch.distributions, so that the class is not compared with itself."""
    sigmas = torch.tensor([[0.25, 0.3, 0.35, 0.4], [0.5, 0.6, 0.4, 0.5]])
    center = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    other = torch.distributions.Independent(torch.distributions.Normal(center[0], 0.7), 1)
    y = other.sample((200_000,))
    weight = (GaussianMixtureProposal(sigmas).log_prob(y[None], center)[0] - other.log_prob(y)).exp()
    assert abs(weight.mean().item() - 1) < 0.02


def test_density_by_hand():
    sigmas = [[0.5, 1.0], [2.0, 0.1]]
    y, c = (0.7, -0.2), (0.5, 0.3)
    expected = sum(math.prod(normal(y[d], c[d], row[d]) for d in range(2)) for row in sigmas) / 2
    log_q = GaussianMixtureProposal(sigmas).log_prob(torch.tensor([[y]]), torch.tensor([c]))
    assert log_q.item() == pytest.approx(math.log(expected), rel=1e-5)


def test_far_from_the_label_the_logarithm_stays_finite():
    log_q = GaussianMixtureProposal([0.05, 0.5]).log_prob(torch.full((1, 1, 4), 100.0), torch.zeros(1, 4))
    nearest = -0.5 * 4 * (100 / 0.5) ** 2  # the density itself is zero in any floating-point format
    assert log_q.item() == pytest.approx(nearest, rel=1e-3)


def test_each_row_has_its_own_label():
    q = GaussianMixtureProposal([0.1])
    center = torch.tensor([[0.0], [10.0]])
    assert (q.sample(center, 500).mean(dim=1) - center).abs().max() < 0.05
    log_q = q.log_prob(center[:, None], center)
    torch.testing.assert_close(log_q, torch.full((2, 1), math.log(normal(0, 0, 0.1))))


def test_one_width_for_all_dimensions_is_short_for_a_full_table():
    y, c = torch.randn(2, 5, 3), torch.randn(2, 3)
    short, full = GaussianMixtureProposal([0.2, 1.0]), GaussianMixtureProposal([[0.2] * 3, [1.0] * 3])
    torch.testing.assert_close(short.log_prob(y, c), full.log_prob(y, c))


def test_scaled_widths():
    scaled = GaussianMixtureProposal([[0.2, 1.0], [0.4, 0.1]]).scaled(0.5)
    torch.testing.assert_close(scaled.sigmas, torch.tensor([[0.1, 0.5], [0.2, 0.05]]).double())
    for factor in (0.0, -1.0, math.inf):
        with pytest.raises(ValueError, match="positive"):
            scaled.scaled(factor)


def test_sample_moments_are_those_of_the_mixture():
    sigmas = torch.tensor([[0.1, 1.0], [0.5, 2.0], [0.3, 0.2]])
    center = torch.tensor([[3.0, -4.0]])
    y = GaussianMixtureProposal(sigmas).sample(center, 200_000)[0]
    variance = sigmas.square().mean(dim=0)
    assert ((y.mean(dim=0) - center[0]).abs() < 5 * (variance / 200_000).sqrt()).all()
    torch.testing.assert_close(y.var(dim=0), variance, rtol=0.03, atol=0)
    fourth = 3 * sigmas.pow(4).mean(dim=0)  # tells the mixture from one Gaussian of the same variance
    torch.testing.assert_close((y - center).pow(4).mean(dim=0), fourth, rtol=0.06, atol=0)


def test_one_component_is_drawn_for_all_dimensions():
    """Widths far apart: whether a sample is near or far must be the same in every dimension."""
    delta = GaussianMixtureProposal([0.001, 1000.0]).sample(torch.zeros(1, 4), 20_000)[0].abs()
    far = delta > 0.1  # 100 narrow widths, and 1e-4 of a wide one: mistaken for near once in 12,000
    assert (far.all(dim=-1) == far.any(dim=-1)).float().mean() > 0.999
    assert 0.48 < far[:, 0].float().mean() < 0.52


def test_samples_repeat_with_a_generator_and_leave_the_global_one_alone():
    q, center = GaussianMixtureProposal([0.1, 1.0]), torch.zeros(2, 3)
    state = torch.get_rng_state()
    first = q.sample(center, 8, torch.Generator().manual_seed(7))
    second = q.sample(center, 8, torch.Generator().manual_seed(7))
    assert torch.equal(first, second) and torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, q.sample(center, 8, torch.Generator().manual_seed(8)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtypes(dtype):
    q, center = GaussianMixtureProposal([0.05, 0.5]), torch.ones(2, 4, dtype=dtype)
    y = q.sample(center, 16)
    assert y.dtype == dtype
    log_q = q.log_prob(y, center)
    assert log_q.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(log_q.double(), q.log_prob(y.double(), center.double()), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("bad", [0.0, -0.5, math.nan, math.inf])
def test_a_bad_width_is_named(bad):
    with pytest.raises(ValueError, match=f"positive and finite, got {bad}"):
        GaussianMixtureProposal([[0.1, 0.2], [0.3, bad]])


@pytest.mark.parametrize("sigmas", [0.5, [], [[[0.1]]]])
def test_widths_of_a_wrong_shape_are_refused(sigmas):
    with pytest.raises(ValueError, match="shape"):
        GaussianMixtureProposal(sigmas)


def test_shapes_that_do_not_fit_are_refused():
    q = GaussianMixtureProposal([[0.1, 0.2, 0.3, 0.4]])
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        q.sample(torch.zeros(2, 3), 4)
    with pytest.raises(ValueError, match=r"\(4,\)"):
        q.sample(torch.zeros(4), 4)
    with pytest.raises(ValueError, match=r"\(3, 5, 4\)"):
        q.log_prob(torch.zeros(3, 5, 4), torch.zeros(1, 4))
    with pytest.raises(ValueError, match="num_samples"):
        q.sample(torch.zeros(2, 4), 0)
