import math

import numpy as np
import pytest
import torch
from torch.distributions import Laplace, Normal

from ebm_common import (
    SoftmaxBins,
    gaussian_loss,
    huber_loss,
    l2_loss,
    laplace_loss,
    log_partition_grid,
    multivariate_laplace_loss,
)

AGE, POSE = SoftmaxBins(0, 100, 101), SoftmaxBins(-75, 75, 151)
densities = pytest.mark.parametrize("loss", [gaussian_loss, laplace_loss, multivariate_laplace_loss])


@pytest.fixture
def triple():
    """mean, logarithm of a scale, label: (5, 3)."""
    return tuple(torch.randn(3, 5, 3, dtype=torch.float64))


@pytest.mark.parametrize("dim", [1, 3])
def test_gaussian_is_twice_the_negative_log_likelihood(triple, dim):
    mean, log_variance, label = (t[:, :dim] for t in triple)
    nll = -Normal(mean, (0.5 * log_variance).exp()).log_prob(label).sum(dim=1).mean()
    torch.testing.assert_close(gaussian_loss(mean, log_variance, label), 2 * nll - dim * math.log(2 * math.pi))


@pytest.mark.parametrize("dim", [1, 3])
def test_laplace_is_the_negative_log_likelihood(triple, dim):
    mean, log_scale, label = (t[:, :dim] for t in triple)
    nll = -Laplace(mean, log_scale.exp()).log_prob(label).sum(dim=1).mean()
    torch.testing.assert_close(laplace_loss(mean, log_scale, label), nll - dim * math.log(2))


def test_multivariate_laplace_in_one_dimension_is_a_laplace_density_of_scale_two_root_beta(triple):
    mean, log_beta, label = (t[:, :1] for t in triple)
    nll = -Laplace(mean, 2 * (0.5 * log_beta).exp()).log_prob(label).mean()
    torch.testing.assert_close(multivariate_laplace_loss(mean, log_beta, label), 2 * nll - 2 * math.log(4))


def test_multivariate_laplace_by_hand_is_no_product():
    mean, label = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[4.0, -2.0], [0.0, 0.0]])
    log_beta = torch.tensor([[1.0, 4.0], [3.0, 1.0]]).log()
    rows = [math.sqrt(9 / 1 + 16 / 4) + math.log(4), math.log(3)]
    assert multivariate_laplace_loss(mean, log_beta, label).item() == pytest.approx(sum(rows) / 2)


def test_multivariate_laplace_needs_no_other_term_of_beta():
    """exp(-J / 2) integrates to the same number for every beta, 8 pi in two dimensions: what (S10) leaves out of the
    likelihood of (S9) is a constant."""
    for beta in ([1.0, 1.0], [0.3, 2.0]):
        beta = torch.tensor(beta, dtype=torch.float64)

        def half(y, beta=beta):
            rows = y[0]
            parts = [multivariate_laplace_loss(torch.zeros(1, 2), beta.log()[None], row[None]) for row in rows]
            return -0.5 * torch.stack(parts)[None]

        upper = 40 * beta.sqrt()
        assert log_partition_grid(half, -upper, upper, 60).item() == pytest.approx(math.log(8 * math.pi), abs=5e-3)


@densities
def test_gradients(loss, triple):
    assert torch.autograd.gradcheck(loss, tuple(t.clone().requires_grad_() for t in triple))


@densities
@pytest.mark.parametrize("log_scale", [-50.0, 50.0])
@pytest.mark.parametrize("error", [0.0, 1e-3, 1e4])
def test_extreme_scales_stay_finite(loss, log_scale, error):
    mean, scale = torch.zeros(2, 3, requires_grad=True), torch.full((2, 3), log_scale, requires_grad=True)
    value = loss(mean, scale, torch.full((2, 3), error))
    value.backward()
    assert value.isfinite() and mean.grad.isfinite().all() and scale.grad.isfinite().all()


@densities
def test_half_precision_is_computed_in_single(loss, triple):
    half = [t.half() for t in triple]
    value = loss(*half)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), loss(*(t.double() for t in half)), rtol=1e-5, atol=1e-5)


@densities
def test_densities_refuse_shapes_that_would_broadcast(loss):
    with pytest.raises(ValueError, match=r"\(4, 1\).*\(4,\)"):
        loss(torch.zeros(4, 1), torch.zeros(4, 1), torch.zeros(4))
    with pytest.raises(ValueError, match="shape"):
        loss(torch.zeros(4, 3), torch.zeros(4, 1), torch.zeros(4, 3))


def test_direct_losses_by_hand():
    prediction, label = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[1.5, 5.0], [0.0, -0.5]])
    assert l2_loss(prediction, label).item() == pytest.approx((0.25 + 9 + 0.25) / 2)
    assert huber_loss(prediction, label).item() == pytest.approx((0.125 + 2.5 + 0.125) / 2)
    for loss in (l2_loss, huber_loss):
        with pytest.raises(ValueError, match=r"\(4, 1\).*\(4,\)"):
            loss(torch.zeros(4, 1), torch.zeros(4))
        assert loss(torch.full((2, 1), 300.0).half(), torch.zeros(2, 1).half()).isfinite()  # 300^2 overflows a half


def numpy_moments(logits, values):
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    mean = (p * values).sum(axis=-1)
    return mean, (p * values**2).sum(axis=-1) - mean**2


@pytest.mark.parametrize(
    ("bins", "dim", "values"), [(AGE, 1, np.arange(101)), (POSE, 3, np.arange(-75, 76))], ids=["age", "pose"]
)
def test_moments_of_bins_agree_with_numpy(bins, dim, values):
    logits = 3 * torch.randn(4, dim, len(values), dtype=torch.float64)
    mean, variance = bins.moments(logits)
    expected_mean, expected_variance = numpy_moments(logits.numpy(), values)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-10)
    np.testing.assert_allclose(variance, expected_variance, rtol=1e-10)


def test_loss_of_bins_by_its_definition():
    logits, label = torch.randn(4, 3, 151, dtype=torch.float64), 40 * torch.randn(4, 3, dtype=torch.float64)
    mean, variance = numpy_moments(logits.numpy(), np.arange(-75, 76))
    log_p = logits.log_softmax(dim=-1)
    chosen = [[log_p[i, d, round(label[i, d].item()) + 75].item() for d in range(3)] for i in range(4)]
    per_label = -np.array(chosen) + 0.1 * (mean - label.numpy()) ** 2
    assert POSE.loss(logits, label).item() == pytest.approx(per_label.sum(axis=1).mean())
    per_label += 0.05 * variance
    assert POSE.loss(logits, label, variance_weight=0.05).item() == pytest.approx(per_label.sum(axis=1).mean())


def test_nearest_bin():
    label = torch.tensor([[-75.4, -75.0, -0.4], [0.6, 74.6, 75.4]])
    assert POSE.nearest(label).tolist() == [[0, 0, 75], [76, 150, 150]]
    assert AGE.nearest(torch.tensor([[21], [60], [100]])).tolist() == [[21], [60], [100]]
    assert SoftmaxBins(0, 1, 5).nearest(torch.tensor([0.1, 0.2, 0.9])).tolist() == [0, 1, 4]


@pytest.mark.parametrize("bad", [-75.75, 75.75, math.nan, math.inf])
def test_a_label_outside_the_bins_is_named(bad):
    with pytest.raises(ValueError, match=rf"-75 to 75.*{bad}"):
        POSE.loss(torch.zeros(1, 2, 151), torch.tensor([[0.0, bad]]))


def test_gradients_of_bins():
    logits, label = torch.randn(2, 2, 7, dtype=torch.float64), torch.tensor([[0.2, 5.0], [3.0, 1.7]]).double()
    bins = SoftmaxBins(0, 6, 7)
    assert torch.autograd.gradcheck(lambda z: bins.loss(z, label, 0.05), logits.requires_grad_())


@pytest.mark.parametrize("scale", [-1e4, 1e4])
def test_extreme_logits_stay_finite(scale):
    logits = (scale * torch.randn(3, 1, 101)).requires_grad_()
    value = AGE.loss(logits, torch.full((3, 1), 40.0), 0.05)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()


def test_bins_in_half_precision_are_computed_in_single():
    logits, label = (3 * torch.randn(3, 2, 151)).half(), torch.zeros(3, 2)
    value = POSE.loss(logits, label, 0.05)
    assert value.dtype == POSE.moments(logits).mean.dtype == torch.float32
    torch.testing.assert_close(value.double(), POSE.loss(logits.double(), label.double(), 0.05), rtol=1e-5, atol=0)


def test_bins_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match=r"\(B, D, 101\), got \(3, 101\)"):
        AGE.moments(torch.zeros(3, 101))
    with pytest.raises(ValueError, match=r"101.*151"):
        AGE.loss(torch.zeros(3, 1, 151), torch.zeros(3, 1))
    with pytest.raises(ValueError, match=r"\(3,\) for \(3, 1, 101\)"):
        AGE.loss(torch.zeros(3, 1, 101), torch.zeros(3))
    for args in ((0, 100, 1), (3, 3, 4)):
        with pytest.raises(ValueError, match="bins need"):
            SoftmaxBins(*args)
