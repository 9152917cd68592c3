import pytest
import torch

from ebm_common import GaussianMixtureProposal, denoising_score_matching, score_matching

MEAN, SIGMA = torch.tensor([0.7, -0.3]).double(), torch.tensor([0.5, 0.2]).double()


def gaussian(y):
    return -0.5 * ((y - MEAN) / SIGMA).square().sum(-1)


class Network(torch.nn.Module):
    """Smooth, and with mixed second derivatives."""

    def __init__(self, dim, hidden=5):
        super().__init__()
        self.a = torch.nn.Parameter(torch.randn(dim, hidden, dtype=torch.float64))
        self.b = torch.nn.Parameter(torch.randn(hidden, dtype=torch.float64))

    def forward(self, y):
        return (y @ self.a).tanh().square() @ self.b


def test_score_matching_agrees_with_the_hessian_of_autograd():
    network, y = Network(3), torch.randn(2, 4, 3, dtype=torch.float64)
    terms = []
    for point in y.reshape(-1, 3):
        hessian = torch.autograd.functional.hessian(network, point)
        gradient = torch.autograd.functional.jacobian(network, point)
        terms.append(hessian.trace() + 0.5 * gradient.square().sum())
    torch.testing.assert_close(score_matching(network, y), torch.stack(terms).mean())


def test_score_matching_of_a_gaussian_in_closed_form():
    y = torch.randn(3, 5, 2, dtype=torch.float64)
    expected = -(1 / SIGMA**2).sum() + 0.5 * ((y - MEAN) / SIGMA**2).square().sum(-1).mean()
    torch.testing.assert_close(score_matching(gaussian, y), expected)


def test_denoising_score_matching_by_its_definition():
    """The same generator draws the same samples."""
    label, sigma = torch.randn(3, 2, dtype=torch.float64), [0.3, 0.1]
    loss = denoising_score_matching(gaussian, label, sigma, 6, torch.Generator().manual_seed(5))
    y = GaussianMixtureProposal([sigma]).sample(label, 6, torch.Generator().manual_seed(5))
    noise = (y - label[:, None]) / torch.tensor(sigma).double().square()
    torch.testing.assert_close(loss, (-(y - MEAN) / SIGMA**2 + noise).square().sum(-1).mean())


def test_denoising_score_matching_of_a_gaussian_in_expectation():
    """E (-(y - m) / s^2 + (y - y_i) / t^2)^2 over y = y_i + t e is ((y_i - m) / s^2)^2 + (t / s^2 - 1 / t)^2."""
    label, t = torch.tensor([[1.0, -0.2]]).double(), 0.3
    expected = ((label[0] - MEAN) / SIGMA**2).square().sum() + (t / SIGMA**2 - 1 / t).square().sum()
    loss = denoising_score_matching(gaussian, label, t, 200_000)
    assert loss.item() == pytest.approx(expected.item(), rel=0.02)


losses = pytest.mark.parametrize(
    "loss",
    [
        lambda energy, label: score_matching(energy, label[:, None]),
        lambda energy, label: denoising_score_matching(energy, label, 0.3, 4, torch.Generator().manual_seed(0)),
    ],
    ids=["SM", "DSM"],
)


@losses
def test_gradients_reach_the_parameters(loss):
    network, label = Network(2), torch.randn(3, 2, dtype=torch.float64)

    def of_parameters(a, b):
        return loss(lambda y: torch.func.functional_call(network, {"a": a, "b": b}, (y,)), label)

    assert torch.autograd.gradcheck(of_parameters, tuple(network.parameters()))


@losses
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_the_value_is_the_same_where_gradients_are_switched_off(loss, context):
    network, label = Network(2), torch.randn(3, 2, dtype=torch.float64)
    expected = loss(network, label)
    with context():
        found = loss(network, label.clone())
        assert not torch.is_grad_enabled()
    assert expected.requires_grad and not found.requires_grad
    torch.testing.assert_close(found, expected.detach())


@losses
@pytest.mark.parametrize("offset", [-1e4, 1e4])
def test_a_constant_added_to_the_energy_changes_nothing(loss, offset):
    network, label = Network(2).float(), torch.randn(3, 2)
    found = loss(lambda y: network(y) + offset, label)
    torch.testing.assert_close(found, loss(network, label))
    found.backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


@losses
@pytest.mark.parametrize("slope", [-1e4, 1e4])
def test_large_energies_and_slopes_stay_finite(loss, slope):
    weight = torch.full((2,), slope, requires_grad=True)
    value = loss(lambda y: (weight * y + weight * y.square()).sum(-1), torch.ones(3, 2))
    value.backward()
    assert value.isfinite() and weight.grad.isfinite().all()


@losses
def test_half_precision_is_computed_in_single(loss):
    label = torch.randn(3, 2).half()
    found = loss(lambda y: gaussian(y).float(), label)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss(lambda y: gaussian(y).float(), label.float()))


def test_an_energy_without_curvature_has_only_its_slope():
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    for energy in (lambda y: (weight * y).sum(-1), lambda y: (y * torch.tensor([1.0, 2.0])).sum(-1)):
        assert score_matching(energy, torch.zeros(2, 1, 2)).item() == 2.5


@losses
def test_misuse_of_the_energy_is_refused(loss):
    label = torch.zeros(3, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"energy must take y"):
        loss(lambda y: gaussian(y)[..., None], label)
    with pytest.raises(ValueError, match="differentiated"):
        loss(lambda y: gaussian(y.detach()), label)


def test_other_misuse_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        score_matching(gaussian, torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"\(3, 0, 2\)"):
        score_matching(gaussian, torch.zeros(3, 0, 2))
    with pytest.raises(ValueError, match=r"\(3, 1, 2\)"):
        denoising_score_matching(gaussian, torch.zeros(3, 1, 2), 0.1, 4)
    with pytest.raises(ValueError, match="positive"):
        denoising_score_matching(gaussian, torch.zeros(3, 2), 0.0, 4)
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        denoising_score_matching(gaussian, torch.zeros(3, 2), [0.1, 0.1, 0.1], 4)
    with pytest.raises(ValueError, match="num_samples"):
        denoising_score_matching(gaussian, torch.zeros(3, 2), 0.1, 0)
