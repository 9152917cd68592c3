import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, Laplace, MixtureSameFamily, Normal, kl_divergence

from ebm_common import (
    SoftmaxBins,
    elbo_loss,
    gaussian_loss,
    gaussian_mixture_loss,
    gaussian_mixture_mean,
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
    """exp(-J / 2) integrates to 8 pi in 2-D for every beta: (S10) is the likelihood of (S9) up to a constant."""
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


def mixture_parts(components: int = 3, dtype=torch.float64):
    """logits (5, K), mean (5, K, 2), log variance (5, K, 2), label (5, 2)."""
    shapes = [(5, components), (5, components, 2), (5, components, 2), (5, 2)]
    return [torch.randn(shape, dtype=dtype) for shape in shapes]


def latent_parts(samples: int = 7, dtype=torch.float64):
    """latent mean (5, 10), latent log variance (5, 10), mean (5, S, 2), log variance (5, S, 2), label (5, 2)."""
    shapes = [(5, 10), (5, 10), (5, samples, 2), (5, samples, 2), (5, 2)]
    return [torch.randn(shape, dtype=dtype) for shape in shapes]


def normal(mean, log_variance):
    return Independent(Normal(mean, (0.5 * log_variance).exp()), 1)


@pytest.mark.parametrize("components", [1, 2, 8])
def test_mixture_is_the_negative_log_likelihood(components):
    logits, mean, log_variance, label = mixture_parts(components)
    mixture = MixtureSameFamily(Categorical(logits=logits), normal(mean, log_variance))
    nll = -mixture.log_prob(label).mean()
    torch.testing.assert_close(gaussian_mixture_loss(logits, mean, log_variance, label), nll - math.log(2 * math.pi))
    torch.testing.assert_close(gaussian_mixture_mean(logits, mean), mixture.mean)


def test_a_mixture_of_one_is_half_the_gaussian_loss():
    logits, mean, log_variance, label = mixture_parts(1)
    torch.testing.assert_close(
        gaussian_mixture_loss(logits, mean, log_variance, label),
        0.5 * gaussian_loss(mean[:, 0], log_variance[:, 0], label),
    )


def test_elbo_by_its_definition():
    latent_mean, latent_log_variance, mean, log_variance, label = latent_parts()
    kl = kl_divergence(normal(latent_mean, latent_log_variance), normal(torch.zeros(10), torch.zeros(10)))
    expected_log = normal(mean, log_variance).log_prob(label[:, None]).mean(dim=1)  # E[log p], below log E[p]
    torch.testing.assert_close(
        elbo_loss(latent_mean, latent_log_variance, mean, log_variance, label),
        (kl - expected_log).mean() - math.log(2 * math.pi),
    )


def test_elbo_with_the_prior_and_a_mean_without_z_is_half_the_gaussian_loss():
    mean, log_variance, label = (t.expand(5, 7, 2) for t in torch.randn(3, 5, 1, 2))
    zero = torch.zeros(5, 10)
    torch.testing.assert_close(
        elbo_loss(zero, zero, mean, log_variance, label[:, 0]),
        0.5 * gaussian_loss(mean[:, 0], log_variance[:, 0], label[:, 0]),
    )


def test_divergence_of_nearly_the_prior_does_not_cancel():
    """It is v^2 / 4 for each dimension of log variance v, which exp(v) - 1 - v cannot tell from 0."""
    zero = torch.zeros(1, 1, 1)
    value = elbo_loss(torch.zeros(1, 10), torch.full((1, 10), 1e-3), zero, zero, zero[0])
    assert value.item() == pytest.approx(10 * 1e-6 / 4, rel=1e-2)


@pytest.mark.parametrize(("loss", "parts"), [(gaussian_mixture_loss, mixture_parts), (elbo_loss, latent_parts)])
class TestMixtureAndElbo:
    def test_gradients(self, loss, parts):
        assert torch.autograd.gradcheck(loss, tuple(t.requires_grad_() for t in parts()))

    @pytest.mark.parametrize("log_variance", [-50.0, 50.0])
    @pytest.mark.parametrize("error", [0.0, 1e-3, 1e4])
    def test_extreme_scales_stay_finite(self, loss, parts, log_variance, error):
        tensors = [torch.zeros_like(t) for t in parts(dtype=torch.float32)]
        tensors[1 if loss is elbo_loss else 0].fill_(log_variance)
        tensors[0][:, 0] = -log_variance
        tensors[-2].fill_(log_variance)
        tensors[-1].fill_(error)
        tensors = [t.requires_grad_() for t in tensors]
        value = loss(*tensors)
        value.backward()
        assert value.isfinite() and all(t.grad.isfinite().all() for t in tensors)

    def test_half_precision_is_computed_in_single(self, loss, parts):
        half = [t.half() for t in parts()]
        value = loss(*half)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), loss(*(t.double() for t in half)), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("index", [-3, -1])
    def test_shapes_that_would_broadcast_are_refused(self, loss, parts, index):
        """One mean for all components or samples, or a label without its dimensions."""
        tensors = parts()
        tensors[index] = tensors[index][:, :1]
        with pytest.raises(ValueError, match=r"label \(B, D\), got"):
            loss(*tensors)
        tensors[index] = tensors[index][:, 0]
        with pytest.raises(ValueError, match=r"label \(B, D\), got"):
            loss(*tensors)


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


def test_autocast_does_not_round_the_expected_value():
    logits = 3 * torch.randn(5, 1, 101)
    mean, variance = AGE.moments(logits)
    with torch.autocast("cpu", torch.bfloat16):
        for got, whole in zip(AGE.moments(logits), (mean, variance), strict=True):
            torch.testing.assert_close(got, whole, rtol=0, atol=0)


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
