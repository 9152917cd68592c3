"""Importance sampling against normal densities, whose moments, intervals and regions are known, and against a grid."""

import math

import pytest
import torch

from ebm_common import GaussianMixtureProposal, importance_sample, normalized_log_density_grid

MEAN = torch.tensor([[0.1, 0.0, -0.05, 0.02], [-0.2, 0.05, 0.0, 0.1]], dtype=torch.float64)
MIX = torch.tensor(
    [[0.20, 0.00, 0.00, 0.00], [0.05, 0.10, 0.00, 0.00], [-0.1, 0.02, 0.15, 0.00], [0.00, 0.03, 0.05, 0.05]],
    dtype=torch.float64,
)
COVARIANCE = MIX @ MIX.T
PROPOSAL = GaussianMixtureProposal([0.05, 0.5])


def normal(y):
    """exp f is a normal density but for its constant; f (2, M) of y (2, M, 4)."""
    off = y - MEAN[:, None]
    return 3.0 - 0.5 * (off @ torch.linalg.inv(COVARIANCE) * off).sum(-1)


@pytest.fixture(scope="module")
def sample():
    generator = torch.Generator().manual_seed(0)
    return importance_sample(normal, torch.zeros(2, 4, dtype=torch.float64), PROPOSAL, 20_000, generator)


def test_weights_sum_to_one_and_log_z_is_the_integral(sample):
    torch.testing.assert_close(sample.log_weight.exp().sum(1), torch.ones(2, dtype=torch.float64))
    log_z = 3.0 + 0.5 * torch.logdet(2 * math.pi * COVARIANCE)
    torch.testing.assert_close(sample.log_z, log_z.expand(2), atol=0.03, rtol=0)
    density = torch.distributions.MultivariateNormal(MEAN[:, None], COVARIANCE).log_prob(sample.y)
    torch.testing.assert_close(sample.log_density(), density, atol=0.03, rtol=0)


def test_moments(sample):
    deviation = COVARIANCE.diag().sqrt()
    assert ((sample.mean() - MEAN).abs() / deviation).max() < 0.04
    scaled = sample.covariance() / deviation / deviation[:, None]
    torch.testing.assert_close(scaled, (COVARIANCE / deviation / deviation[:, None]).expand(2, 4, 4), atol=0.05, rtol=0)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_intervals_and_regions(sample, level):
    deviation = COVARIANCE.diag().sqrt()
    half = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor((1 + level) / 2, dtype=torch.float64))
    expected = torch.stack([MEAN - half * deviation, MEAN + half * deviation], dim=-1)
    assert ((sample.credible_interval(level) - expected).abs() / deviation[:, None]).max() < 0.08
    # The region of highest density of four normal variables: a ball of chi square with four degrees of freedom.
    found = 2 * (3.0 - sample.region_threshold(level))
    inside = 1 - torch.exp(-found / 2) * (1 + found / 2)
    torch.testing.assert_close(inside, torch.full((2,), level, dtype=torch.float64), atol=0.02, rtol=0)
    torch.testing.assert_close(sample.level(sample.region_threshold(level)), inside, atol=0.03, rtol=0)


@pytest.mark.parametrize("temperature", [0.7, 2.0])
def test_a_normal_density_at_another_temperature_has_its_covariance_scaled(sample, temperature):
    warm = sample.tempered(temperature)
    torch.testing.assert_close(warm.log_weight.exp().sum(1), torch.ones(2, dtype=torch.float64))
    deviation = (temperature * COVARIANCE.diag()).sqrt()
    assert ((warm.mean() - MEAN).abs() / deviation).max() < 0.06
    ratio = warm.covariance().diagonal(dim1=1, dim2=2) / deviation.square()
    torch.testing.assert_close(ratio, torch.ones(2, 4, dtype=torch.float64), atol=0.1, rtol=0)
    log_z = 3.0 / temperature + 0.5 * torch.logdet(2 * math.pi * temperature * COVARIANCE)
    torch.testing.assert_close(warm.log_z, log_z.expand(2), atol=0.06, rtol=0)
    back = warm.tempered(1 / temperature)
    torch.testing.assert_close((back.log_weight, back.log_z, back.f), (sample.log_weight, sample.log_z, sample.f))


def test_intervals_of_functions_of_y(sample):
    total = sample.y.sum(-1, keepdim=True)
    deviation = COVARIANCE.sum().sqrt()
    expected = MEAN.sum(1)[:, None] + deviation * torch.tensor([-1.959964, 1.959964], dtype=torch.float64)
    torch.testing.assert_close(sample.credible_interval(0.95, total)[:, 0], expected, atol=0.08 * deviation, rtol=0)


def test_a_marginal_is_a_density_near_the_true_one(sample):
    points, density = sample.marginal(sample.y[..., 0], 400)
    assert ((density * (points[:, 1:2] - points[:, :1])).sum(1) - 1).abs().max() < 2e-3
    true = torch.distributions.Normal(MEAN[:, :1], COVARIANCE[0, 0].sqrt()).log_prob(points).exp()
    assert (density - true).abs().max() < 0.1 * true.max()


def test_levels_of_draws_from_the_density_itself_are_uniform(sample):
    draws = torch.distributions.MultivariateNormal(MEAN, COVARIANCE).sample((2000,))
    levels = torch.stack([sample.level(normal(d[:, None])[:, 0]) for d in draws])
    for level in (0.1, 0.5, 0.9):
        torch.testing.assert_close(
            (levels < level).double().mean(0), torch.full((2,), level).double(), atol=0.04, rtol=0
        )


def test_a_density_of_two_peaks_agrees_with_a_grid():
    def energy(y):
        return torch.logaddexp(-50 * (y[..., 0] + 0.3) ** 2, -20 * (y[..., 0] - 0.2) ** 2 - 1).float()

    sample = importance_sample(energy, torch.zeros(1, 1), PROPOSAL, 40_000, torch.Generator().manual_seed(1))
    grid = normalized_log_density_grid(energy, torch.tensor([-3.0]), torch.tensor([3.0]), 3000)
    assert float(sample.log_z) == pytest.approx(float(grid.log_z), abs=0.02)
    points, density = sample.marginal(sample.y[..., 0], 300)
    index = torch.searchsorted(grid.y[0, :, 0].contiguous(), points[0]).clamp(max=2999)
    exact = grid.log_density[0].exp()
    assert (density[0] - exact[index]).abs().max() < 0.1 * exact.max()
    cdf = exact.cumsum(0) * grid.cell_volume
    low, high = sample.credible_interval(0.8)[0, 0]
    found = [float(cdf[torch.searchsorted(grid.y[0, :, 0].contiguous(), edge)]) for edge in (low, high)]
    assert found == pytest.approx([0.1, 0.9], abs=0.02)


def test_the_proposal_alone_serves_where_the_fit_fails():
    """A needle off the centre of a wide proposal: one candidate carries all the weight of the first round."""

    def needle(y):
        return -0.5 * ((y - 0.2) / 0.003).square().sum(-1)

    sample = importance_sample(needle, torch.zeros(1, 4), PROPOSAL, 2000, torch.Generator().manual_seed(0))
    assert torch.isfinite(sample.mean()).all() and torch.isfinite(sample.covariance()).all()
    assert 1 <= float(sample.effective_sample_size()) < 100  # and says that it is not to be trusted


def test_a_needle_at_the_centre_is_found_by_the_second_round():
    def needle(y):
        return -0.5 * (y / 0.01).square().sum(-1)

    one_round = 4000 * (0.01 / 0.05) ** 4
    sample = importance_sample(needle, torch.zeros(1, 4), PROPOSAL, 4000, torch.Generator().manual_seed(0))
    assert float(sample.effective_sample_size()) > 20 * one_round
    torch.testing.assert_close(sample.covariance()[0], 1e-4 * torch.eye(4), atol=2e-5, rtol=0)


def test_candidates_outside_the_target_space_have_no_weight():
    def half(y):
        f = -0.5 * (y[..., 0] / 0.3).square()
        return torch.where(y[..., 0] > 0, f, -torch.inf)

    sample = importance_sample(half, torch.zeros(1, 1), PROPOSAL, 20_000, torch.Generator().manual_seed(0))
    assert float(sample.mean()) == pytest.approx(0.3 * math.sqrt(2 / math.pi), abs=0.01)
    assert float(sample.credible_interval(0.9)[0, 0, 0]) > 0
    assert (sample.y[0, :, 0][sample.f[0] >= sample.region_threshold(0.9)] > 0).all()
    assert float(sample.tempered(2.0).mean()) == pytest.approx(0.3 * math.sqrt(4 / math.pi), abs=0.015)


def test_a_second_round_outside_the_target_space_leaves_the_first():
    rounds = []

    def energy(y):
        rounds.append(y.shape[1])
        return -0.5 * (y[..., 0] / 0.3).square() if len(rounds) == 1 else torch.full(y.shape[:2], -torch.inf)

    sample = importance_sample(energy, torch.zeros(1, 1), PROPOSAL, 100, torch.Generator().manual_seed(0))
    assert rounds == [50, 50]
    assert sample.log_weight[0, 50:].isneginf().all()
    torch.testing.assert_close(sample.log_weight[0, :50].exp().sum(), torch.tensor(1.0))


def test_the_same_generator_gives_the_same_sample():
    center = torch.zeros(2, 4, dtype=torch.float64)
    one, two = (importance_sample(normal, center, PROPOSAL, 50, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.y, two.y) and torch.equal(one.log_weight, two.log_weight)


@pytest.mark.parametrize(
    "energy, num_samples, message",
    [
        (lambda y: y[..., 0], 3, "num_samples must be at least 4"),
        (lambda y: y[..., 0] * torch.nan, 10, "the energy is nan"),
        (lambda y: y[..., 0] * 0 + torch.inf, 10, "the energy is inf"),
        (lambda y: y[..., 0] * 0 - torch.inf, 10, "outside the target space"),
        (lambda y: y, 10, "must take y"),
    ],
)
def test_what_cannot_be_used_is_refused(energy, num_samples, message):
    with pytest.raises(ValueError, match=message):
        importance_sample(energy, torch.zeros(1, 2), PROPOSAL, num_samples)


@pytest.mark.parametrize("level", [-0.1, 1.1])
def test_a_level_is_a_probability(sample, level):
    with pytest.raises(ValueError, match="within"):
        sample.region_threshold(level)
