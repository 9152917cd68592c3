"""The temperature curve finds the factor by which the energies are too sharp."""

import math

import pytest
import torch

from ebm_common import GaussianMixtureProposal, importance_sample, temperature_curve

LABELS, SHARPER = 400, 3.0


@pytest.fixture(scope="module")
def overconfident():
    """Labels are normal about a known centre, of standard deviation 0.1; the energies claim a third of the variance."""
    generator = torch.Generator().manual_seed(0)
    labels = 0.1 * torch.randn(LABELS, 2, generator=generator)

    def energy(y):
        return -0.5 * SHARPER * (y / 0.1).square().sum(-1)

    proposal = GaussianMixtureProposal([0.05, 0.2])
    sample = importance_sample(energy, torch.zeros(LABELS, 2), proposal, 1000, generator)
    return sample, energy(labels[:, None])[:, 0]


def test_the_likeliest_temperature_corrects_the_coverage(overconfident):
    curve = temperature_curve(*overconfident, [1.0, 2.0, 3.0, 4.0, 6.0])
    assert curve.best() == 3.0
    for level in (0.5, 0.8, 0.95):
        found = curve.coverage(level)
        # In two dimensions a region of level a holds 1 - (1 - a)^(T / 3) of the labels.
        expected = [1 - (1 - level) ** (temperature / SHARPER) for temperature in (1.0, 2.0, 3.0, 4.0, 6.0)]
        torch.testing.assert_close(found, torch.tensor(expected), atol=0.06, rtol=0)


def test_the_likelihood_is_the_closed_form(overconfident):
    sample, f = overconfident
    curve = temperature_curve(sample, f, [1.0, 3.0])
    for temperature, nll in zip((1.0, 3.0), curve.nll, strict=True):
        log_z = math.log(2 * math.pi * 0.1**2 * temperature / SHARPER)
        assert float(nll) == pytest.approx(log_z - float(f.mean()) / temperature, abs=0.02)


def test_what_does_not_fit_is_refused(overconfident):
    sample, f = overconfident
    with pytest.raises(ValueError, match="positive"):
        temperature_curve(sample, f, [1.0, 0.0])
    with pytest.raises(ValueError, match="f_label"):
        temperature_curve(sample, f[:3], [1.0])
