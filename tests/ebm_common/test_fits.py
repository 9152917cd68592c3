"""What each loss learns: the mean and variance of Gaussian labels, by gradient descent on a quadratic energy."""

import math

import pytest
import torch

from ebm_common import (
    GaussianMixtureProposal,
    contrastive_divergence,
    denoising_score_matching,
    kl_importance_sampling,
    langevin_sample,
    nll_importance_sampling,
    noise_contrastive_estimation,
    score_matching,
)

MEAN, SIGMA = 0.7, 0.5
# Quantiles, so that the labels' mean and variance are those of the density, not of a draw.
LABELS = torch.distributions.Normal(MEAN, SIGMA).icdf((torch.arange(200) + 0.5) / 200)[:, None]
Q = GaussianMixtureProposal([0.3, 1.0])


def on_label(energy):
    return energy(LABELS[:, None])[:, 0]


def nll(energy):
    y = Q.sample(LABELS, 100)
    return nll_importance_sampling(on_label(energy), energy(y), Q.log_prob(y, LABELS))


def kl(energy):
    y = Q.sample(LABELS, 100)
    return kl_importance_sampling(energy(y), Q.log_prob(y, LABELS), GaussianMixtureProposal([0.3]).log_prob(y, LABELS))


def nce(energy):
    y = Q.sample(LABELS, 100)
    log_q_label = Q.log_prob(LABELS[:, None], LABELS)[:, 0]
    return noise_contrastive_estimation(on_label(energy), energy(y), log_q_label, Q.log_prob(y, LABELS))


def nce_plus(energy):
    noisy, y = Q.scaled(0.4).sample(LABELS, 1), Q.sample(LABELS, 100)
    log_q_noisy = Q.log_prob(noisy, LABELS)[:, 0]
    return noise_contrastive_estimation(energy(noisy)[:, 0], energy(y), log_q_noisy, Q.log_prob(y, LABELS))


def mcmc(energy):
    y = langevin_sample(energy, LABELS[:, None].expand(-1, 20, -1), 0.1, 10)
    return contrastive_divergence(on_label(energy), energy(y))


def dsm(energy):
    return denoising_score_matching(energy, LABELS, 0.3, 20)


def sm(energy):
    return score_matching(energy, LABELS[:, None])


class Quadratic(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.mean, self.log_sigma = (torch.nn.Parameter(torch.zeros(())) for _ in range(2))

    def forward(self, y):
        return -0.5 * ((y[..., 0] - self.mean) / self.log_sigma.exp()).square()


def fit(loss, steps=150, lr=0.05):
    """Mean and variance, averaged over the last third of the steps to remove the noise of a single step."""
    energy, history = Quadratic(), []
    optimizer = torch.optim.Adam(energy.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(energy).backward()
        optimizer.step()
        history.append((energy.mean.item(), math.exp(2 * energy.log_sigma.item())))
    return torch.tensor(history[-steps // 3 :]).mean(dim=0).tolist()


@pytest.mark.parametrize(
    ("loss", "added_variance"),
    [
        (nll, 0.0),
        (kl, 0.3**2),
        (nce, 0.0),
        (nce_plus, 0.4**2 * (0.3**2 + 1.0**2) / 2),
        (mcmc, 0.0),
        (dsm, 0.3**2),
        (sm, 0.0),
    ],
)
def test_mean_and_variance_of_the_labels_are_learned(loss, added_variance):
    mean, variance = fit(loss)
    assert mean == pytest.approx(MEAN, abs=0.01)
    assert variance == pytest.approx(SIGMA**2 + added_variance, rel=0.04)


def test_nce_with_few_samples_is_exact_if_the_proposal_does_not_depend_on_the_label():
    """The likelihood, estimated from the same two samples, collapses to a density of no width."""
    center = torch.zeros_like(LABELS)

    def few_nll(energy):
        y = Q.sample(center, 2)
        return nll_importance_sampling(on_label(energy), energy(y), Q.log_prob(y, center))

    def few_nce(energy):
        y, log_q_label = Q.sample(center, 2), Q.log_prob(LABELS[:, None], center)[:, 0]
        return noise_contrastive_estimation(on_label(energy), energy(y), log_q_label, Q.log_prob(y, center))

    mean, variance = fit(few_nce, steps=600, lr=0.02)
    assert mean == pytest.approx(MEAN, abs=0.03) and variance == pytest.approx(SIGMA**2, rel=0.08)
    _, variance = fit(few_nll, steps=600, lr=0.02)
    assert variance < SIGMA**2 / 4
