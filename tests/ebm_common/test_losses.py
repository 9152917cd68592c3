import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from ebm_common import (
    GaussianMixtureProposal,
    effective_sample_size,
    kl_importance_sampling,
    log_partition_importance_sampling,
    nll_importance_sampling,
    noise_contrastive_estimation,
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


def test_kl_by_hand():
    f = torch.tensor([[0.5, 1.5, -1.0], [2.0, 0.0, 0.0]])
    q, p = torch.tensor([[0.2, 0.5, 1.0], [2.0, 1.0, 0.1]]), torch.tensor([[0.4, 0.1, 0.0], [1.0, 3.0, 0.2]])
    expected = ((f.exp() / q).mean(dim=1).log() - (p / q * f).mean(dim=1)).mean()
    torch.testing.assert_close(kl_importance_sampling(f, q.log(), p.log()), expected)


def kl_of_labels(sigma_gt, labels, num_samples):
    q, p = GaussianMixtureProposal([0.2, 0.8]), GaussianMixtureProposal([sigma_gt])
    y = q.sample(labels, num_samples)
    return kl_importance_sampling(gaussian_energy(y), q.log_prob(y, labels), p.log_prob(y, labels))


def test_kl_converges_to_that_between_gaussians():
    labels = torch.tensor([[0.1, 0.0], [0.6, -0.5], [0.3, -0.2]])
    p, model = (Independent(Normal(*args), 1) for args in ((labels, 0.3), (MEAN.expand(3, 2), SIGMA.expand(3, 2))))
    exact = (kl_divergence(p, model) + p.entropy()).mean()
    assert kl_of_labels(0.3, labels, 400_000).item() == pytest.approx(exact.item(), abs=0.02)


def test_kl_to_a_narrow_density_is_the_likelihood_of_the_label():
    labels = torch.tensor([[0.1, 0.0], [0.6, -0.5], [0.3, -0.2]])
    nll = LOG_Z - gaussian_energy(labels).mean()
    far, near = (abs(kl_of_labels(sigma_gt, labels, 400_000) - nll) for sigma_gt in (0.3, 0.02))
    assert near < 0.1 < far


def test_nce_by_hand():
    f_label, q_label = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 2.0])
    f = torch.tensor([[0.5, 1.5, -1.0], [2.0, 0.0, 0.0]])
    q = torch.tensor([[0.2, 0.5, 1.0], [2.0, 1.0, 0.1]])
    w_label, w = f_label.exp() / q_label, f.exp() / q
    expected = -(w_label / (w_label + w.sum(dim=1))).log().mean()
    torch.testing.assert_close(noise_contrastive_estimation(f_label, f, q_label.log(), q.log()), expected)


def test_nce_of_an_energy_that_is_the_proposal_itself_can_only_guess():
    log_q_label, log_q = torch.randn(4), torch.randn(4, 15)
    loss = noise_contrastive_estimation(log_q_label + 7, log_q + 7, log_q_label, log_q)
    torch.testing.assert_close(loss, torch.tensor(math.log(16)))


def test_gradients_of_nce_tend_to_those_of_the_likelihood():
    label, q = torch.tensor([[0.6, -0.5]]), GaussianMixtureProposal([0.2, 0.8])
    y, grads = q.sample(label, 100_000), []
    for nce in (True, False):
        mean = MEAN.clone().requires_grad_()
        f_label, f = (-0.5 * ((c - mean) / SIGMA).square().sum(-1) for c in (label, y))
        log_q_label, log_q = q.log_prob(label[:, None], label)[:, 0], q.log_prob(y, label)
        args = (f_label, f, log_q_label, log_q) if nce else (f_label, f, log_q)
        (noise_contrastive_estimation if nce else nll_importance_sampling)(*args).backward()
        grads.append(mean.grad)
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("offset", [-1e4, 1e4])
def test_a_constant_changes_neither_nce_nor_much_of_kl(offset):
    """The estimate of KL moves by the constant times 1 minus the mean of p / q, which is made 1 here."""
    f_label, f, log_q_label, log_q = torch.randn(4), torch.randn(4, 32), torch.randn(4), torch.randn(4, 32)
    log_p = log_q + torch.randn(4, 32).log_softmax(dim=1) + math.log(32)
    shifted_label, shifted = (t.add(offset).requires_grad_() for t in (f_label, f))
    nce = noise_contrastive_estimation(shifted_label, shifted, log_q_label, log_q)
    kl = kl_importance_sampling(shifted, log_q, log_p)
    torch.testing.assert_close(nce, noise_contrastive_estimation(f_label, f, log_q_label, log_q), atol=5e-3, rtol=0)
    torch.testing.assert_close(kl, kl_importance_sampling(f, log_q, log_p), atol=2e-2, rtol=0)
    (nce + kl).backward()
    assert shifted.grad.isfinite().all() and shifted_label.grad.isfinite().all()


@pytest.mark.parametrize("sign", [-1, 1])
def test_kl_and_nce_of_extreme_energies_stay_finite(sign):
    f = (sign * torch.tensor([[1e4, -1e4, 0.0]])).requires_grad_()
    f_label = torch.tensor([-1e4 * sign], requires_grad=True)
    log_q = torch.tensor([[-50.0, 3.0, -700.0]])
    log_p = torch.tensor([[-1e4, 5.0, -1e30]])
    loss = kl_importance_sampling(f, log_q, log_p) + noise_contrastive_estimation(f_label, f, log_q[:, 1], log_q)
    loss.backward()
    assert loss.isfinite() and f.grad.isfinite().all() and f_label.grad.isfinite().all()


def test_gradients_of_kl_and_nce():
    f_label, log_q_label = (torch.randn(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    f, log_q, log_p = (torch.randn(3, 8, dtype=torch.float64, requires_grad=True) for _ in range(3))
    assert torch.autograd.gradcheck(kl_importance_sampling, (f, log_q, log_p))
    assert torch.autograd.gradcheck(noise_contrastive_estimation, (f_label, f, log_q_label, log_q))


def test_half_precision_of_kl_and_nce_is_computed_in_single():
    f_label, log_q_label = torch.randn(2, 4).half()
    f, log_q, log_p = torch.randn(3, 4, 512).half()
    for loss, args in (
        (kl_importance_sampling, (f, log_q, log_p)),
        (noise_contrastive_estimation, (20 * f_label, 20 * f, log_q_label, log_q)),
    ):
        found = loss(*args)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), loss(*(t.double() for t in args)), rtol=1e-5, atol=1e-5)


def test_kl_and_nce_refuse_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(2, 4\)"):
        kl_importance_sampling(torch.zeros(2, 5), torch.zeros(2, 5), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="shape"):
        kl_importance_sampling(torch.zeros(2, 0), torch.zeros(2, 0), torch.zeros(2, 0))
    for f_label, f, log_q_label, log_q in (
        ((3,), (2, 5), (2,), (2, 5)),
        ((2,), (2, 5), (3,), (2, 5)),
        ((2, 1), (2, 5), (2,), (2, 5)),
        ((2,), (2, 5), (2,), (2, 4)),
        ((), (5,), (), (5,)),
    ):
        with pytest.raises(ValueError, match="shape"):
            noise_contrastive_estimation(*(torch.zeros(shape) for shape in (f_label, f, log_q_label, log_q)))
