"""The toy's densities: exact integrals, samples that follow them, and the order of samples."""

import math

import pytest
import torch

from ltr.dataset.toy import HIGH, LOW, TOY_DENSITIES, MixtureAndLogNormal, ToySamples


@pytest.mark.parametrize("name", TOY_DENSITIES)
def test_densities_integrate_to_one_and_lie_within_the_window(name):
    density = TOY_DENSITIES[name]
    assert density.name == name
    x = torch.linspace(LOW, HIGH, 31, dtype=torch.float64)[:, None]
    cells = 10000
    for low, high, missing in ((-20.0, 20.0, 1e-9), (LOW, HIGH, 6e-6)):
        y = low + (torch.arange(cells, dtype=torch.float64) + 0.5) * (high - low) / cells
        integral = density.log_density(x, y).exp().sum(dim=1) * (high - low) / cells
        assert integral.max() < 1 + 1e-9 and integral.min() > 1 - missing


def test_log_density_agrees_with_torch_distributions():
    y = torch.linspace(-2, 3, 101, dtype=torch.float64)
    x = torch.tensor([-2.0, -0.3, 0.0, 1.5], dtype=torch.float64)[:, None]
    d = torch.distributions
    got = MixtureAndLogNormal().log_density(x, y)
    modes = d.Normal(torch.stack([x.sin(), -x.sin()], dim=-1), torch.tensor(0.075, dtype=torch.float64))
    mixture = torch.logsumexp(modes.log_prob(y[..., None]) + torch.tensor([0.8, 0.2]).log(), dim=-1)
    torch.testing.assert_close(got[:2], mixture[:2], rtol=1e-6, atol=1e-6)
    positive = y > 0
    skewed = d.LogNormal(torch.tensor(0.0, dtype=torch.float64), 0.25).log_prob(y[positive])
    torch.testing.assert_close(got[2:, positive], skewed.expand(2, -1))
    assert (got[2:, ~positive] == -math.inf).all()
    torch.testing.assert_close(TOY_DENSITIES["1_shifted"].log_density(x, y - 1)[2:], got[2:])
    second = d.Normal(x.sin(), 0.15 * x.sigmoid()).log_prob(y)
    torch.testing.assert_close(TOY_DENSITIES["2"].log_density(x, y), second)


@pytest.mark.parametrize("name", TOY_DENSITIES)
def test_samples_follow_the_density(name):
    """The probability integral transform of each sample under its own density is uniform."""
    density = TOY_DENSITIES[name]
    x, y = density.sample(2000, torch.Generator().manual_seed(3))
    assert x.shape == y.shape == (2000, 1) and x.min() >= LOW and x.max() <= HIGH
    assert abs((x < 0).float().mean() - 0.5) < 0.03
    grid = LOW + (torch.arange(1500, dtype=torch.float64) + 0.5) * (HIGH - LOW) / 1500
    p = density.log_density(x.double(), grid).exp()
    below = (p * (grid < y)).sum(dim=1) / p.sum(dim=1)
    for side in (x[:, 0] < 0, x[:, 0] >= 0):
        ranked = below[side].sort().values
        uniform = (torch.arange(len(ranked)) + 0.5) / len(ranked)
        assert (ranked - uniform).abs().max() < 1.6 / math.sqrt(len(ranked))  # Kolmogorov-Smirnov, p about 0.01


def test_every_epoch_has_all_samples_in_an_order_of_its_own():
    density = TOY_DENSITIES["2"]
    data = ToySamples(density, 50, seed=0, order_seed=4)
    epochs = [[data[k]["x"].item() for k in range(50 * e, 50 * e + 50)] for e in (0, 1)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(data.x[:, 0].tolist()) and epochs[0] != epochs[1]
    again = ToySamples(density, 50, seed=0, order_seed=4)
    assert [again[k]["x"].item() for k in (70, 3)] == [epochs[1][20], epochs[0][3]]  # a pure function of k
    other = ToySamples(density, 50, seed=0, order_seed=5)
    assert [other[k]["x"].item() for k in range(50)] != epochs[0]
    still = ToySamples(density, 50, seed=0)
    assert torch.equal(torch.stack([still[k]["label"] for k in range(50)]), still.y)
