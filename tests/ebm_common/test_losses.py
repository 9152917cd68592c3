import math

import pytest
import torch

from ebm_common import (
    GaussianMixtureProposal,
    effective_sample_size,
    log_partition_importance_sampling,
    nll_importance_sampling,
)

MEAN, SIGMA = torch.tensor([0.3, -0.2]), torch.tensor([0.5, 0.2])
LOG_Z = (SIGMA.log() + 0.5 * math.log(2 * math.pi)).sum().item()


def gaussian_energy(y):
    """Unnormalised: exp of it integrates to exp LOG_Z."""
    return -0.5 * ((y - MEAN) / SIGMA).square().sum(-1)


def test_nll_by_hand():
    f_label = torch.tensor([1.0, 2.0])
    f_samples = torch.tensor([[0.5, 1.5, -1.0], [2.0, 0.0, 0.0]])
    q = torch.tensor([[0.2, 0.5, 1.0], [2.0, 1.0, 0.1]])
    z = (f_samples.exp() / q).mean(dim=1)
    expected = (z.log() - f_label).mean()
    torch.testing.assert_close(nll_importance_sampling(f_label, f_samples, q.log()), expected)


def test_nll_converges_to_the_exact_one_of_a_gaussian_energy():
    """The error falls with M, as the inverse square root, and is small in the end."""
    q = GaussianMixtureProposal([0.2, 0.8])
    labels = torch.tensor([[0.1, 0.0], [0.6, -0.5], [0.3, -0.2]])
    exact = LOG_Z - gaussian_energy(labels).mean()
    error = {}
    for m in (16, 256, 65536):
        runs = []
        for _ in range(20):
            y = q.sample(labels, m)
            loss = nll_importance_sampling(gaussian_energy(labels), gaussian_energy(y), q.log_prob(y, labels))
            runs.append((loss - exact).square())
        error[m] = torch.stack(runs).mean().sqrt().item()
    assert error[256] < error[16] / 2 and error[65536] < error[256] / 8
    assert error[65536] < 0.01


def test_log_partition_of_samples_from_the_density_itself_is_exact():
    """Where q is proportional to exp f every weight is Z, and a single sample is enough."""
    proposal = torch.distributions.Independent(torch.distributions.Normal(MEAN, SIGMA), 1)
    y = proposal.sample((3, 1))
    log_z = log_partition_importance_sampling(gaussian_energy(y), proposal.log_prob(y))
    torch.testing.assert_close(log_z, torch.full((3,), LOG_Z))


@pytest.mark.parametrize("offset", [-1e4, 1e4])
def test_a_constant_added_to_the_energy_changes_nothing_and_overflows_nowhere(offset):
    f_label, f_samples, log_q = torch.randn(4), torch.randn(4, 32), torch.randn(4, 32)
    f_shifted = (f_samples + offset).requires_grad_()
    loss = nll_importance_sampling(f_label + offset, f_shifted, log_q)
    torch.testing.assert_close(loss, nll_importance_sampling(f_label, f_samples, log_q), atol=5e-3, rtol=0)
    loss.backward()
    assert f_shifted.grad.isfinite().all()
    torch.testing.assert_close(f_shifted.grad.sum(), torch.tensor(1.0), atol=1e-3, rtol=0)  # softmax weights


def test_extreme_energies_and_densities_stay_finite():
    f = torch.tensor([[1e4, -1e4, 0.0]])
    log_q = torch.tensor([[-1e4, 1e4, -700.0]])
    assert nll_importance_sampling(torch.tensor([-1e4]), f, log_q).isfinite()
    assert effective_sample_size(f, log_q).item() == pytest.approx(1)


def test_gradients():
    f_label = torch.randn(3, dtype=torch.float64, requires_grad=True)
    f_samples, log_q = (torch.randn(3, 8, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(nll_importance_sampling, (f_label, f_samples, log_q))
    assert torch.autograd.gradcheck(log_partition_importance_sampling, (f_samples, log_q))
    assert torch.autograd.gradcheck(effective_sample_size, (f_samples, log_q))


def test_half_precision_is_computed_in_single():
    f_label, f_samples, log_q = torch.randn(4).half(), (20 * torch.randn(4, 512)).half(), torch.randn(4, 512).half()
    loss = nll_importance_sampling(f_label, f_samples, log_q)
    assert loss.dtype == torch.float32
    exact = nll_importance_sampling(f_label.double(), f_samples.double(), log_q.double())
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=1e-5)


def test_effective_sample_size_counts_equal_weights():
    log_w = torch.full((3, 8), -math.inf)
    log_w[0, :1], log_w[1, :5], log_w[2] = 3.0, -2.0, 0.0
    torch.testing.assert_close(effective_sample_size(log_w, torch.zeros(3, 8)), torch.tensor([1.0, 5.0, 8.0]))
    # Weights 1, 2, 3 by the definition, at an offset where differences of large logarithms would cancel.
    f = torch.tensor([[1.0, 2.0, 3.0]]).log() + 1000
    expected = 36 / 14
    assert effective_sample_size(f, torch.zeros(1, 3)).item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("label", "samples", "log_q"),
    [
        ((3,), (2, 5), (2, 5)),
        ((2,), (2, 5), (2, 4)),
        ((2, 1), (2, 5), (2, 5)),
        ((2,), (2, 0), (2, 0)),
        ((), (5,), (5,)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(label, samples, log_q):
    with pytest.raises(ValueError, match="shape"):
        nll_importance_sampling(torch.zeros(label), torch.zeros(samples), torch.zeros(log_q))


def test_the_message_has_the_shapes():
    with pytest.raises(ValueError, match=r"\(2, 5\) and \(2, 4\)"):
        log_partition_importance_sampling(torch.zeros(2, 5), torch.zeros(2, 4))
