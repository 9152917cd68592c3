"""The classifier's least-squares problem against convolutions, autograd and closed forms."""

import pytest
import torch
import torch.nn.functional as F

from pytracking.tracker.atom.filter_problem import Samples, bend, conjugate_gradients, solve_filter, solve_joint

FLOOR = 0.05
PROJECTION_REG, FILTER_REG = 1e-2, 0.1


def as_convolution(weight: torch.Tensor, kernel: int) -> torch.Tensor:
    """(K, kernel^2) -> (1, K, kernel, kernel)."""
    return weight.view(1, -1, kernel, kernel)


@pytest.mark.parametrize("kernel", [1, 3, 4])
def test_correlate_is_a_same_convolution_without_the_last_row_and_column_of_even_kernels(kernel):
    features, weight = torch.randn(3, 5, 6, 7).double(), torch.randn(5, kernel**2).double()
    expected = F.conv2d(features, as_convolution(weight, kernel), padding=kernel // 2)[:, 0, :6, :7]
    torch.testing.assert_close(Samples(features, kernel).correlate(weight), expected)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 2])
def test_adjoint_has_the_same_inner_products(kernel, count):
    samples = Samples(torch.randn(count, 5, 6, 7).double(), kernel)
    weight, response = torch.randn(5, kernel**2).double(), torch.randn(count, 7, 6).double().mT  # in another order
    torch.testing.assert_close((samples.correlate(weight) * response).sum(), (weight * samples.adjoint(response)).sum())


def test_bend_is_elu_of_leaky_relu_and_comes_with_its_derivative():
    x = torch.cat([torch.linspace(-3, 2, 101), torch.tensor([-1e4, 1e4])]).double().requires_grad_()
    expected = F.elu(F.leaky_relu(x, 1 / FLOOR), FLOOR)
    (slope,) = torch.autograd.grad(expected.sum(), x)
    value, derivative = bend(x.detach(), FLOOR)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(derivative, slope)


@pytest.fixture
def joint_problem():
    """Three samples of four channels, two projected channels: small enough for an explicit Jacobian."""
    features = torch.randn(3, 4, 5, 5).double()
    labels = torch.rand(3, 5, 5).double()
    weights = torch.tensor([0.5, 0.3, 0.2]).double()
    return features, labels, weights, torch.randn(2, 4).double() / 2, torch.randn(2, 9).double() / 10


def joint_residuals(features, labels, weights, projection, filter, kernel=3):
    """Everything whose square is minimised, written with PyTorch's own convolution and activations."""
    response = F.conv2d(features, as_convolution(projection.T @ filter, kernel), padding=kernel // 2)[:, 0]
    data = weights.sqrt()[:, None, None] * (F.elu(F.leaky_relu(response, 1 / FLOOR), FLOOR) - labels)
    return torch.cat([data.flatten(), PROJECTION_REG**0.5 * projection.flatten(), FILTER_REG**0.5 * filter.flatten()])


def solve(problem, gauss_newton, conjugate_gradient):
    features, labels, weights, projection, filter = problem
    regs = PROJECTION_REG, FILTER_REG
    samples = Samples(features, 3)
    return solve_joint(samples, labels, weights, projection, filter, *regs, FLOOR, gauss_newton, conjugate_gradient)


def test_a_gauss_newton_iteration_solves_the_normal_equations_of_autograds_jacobian(joint_problem):
    features, labels, weights, projection, filter = joint_problem

    def residuals(v):
        return joint_residuals(features, labels, weights, v[:8].view(2, 4), v[8:].view(2, 9))

    here = torch.cat([projection.flatten(), filter.flatten()])
    jacobian = torch.autograd.functional.jacobian(residuals, here)
    step = -torch.linalg.solve(jacobian.T @ jacobian, jacobian.T @ residuals(here))

    found = torch.cat([part.flatten() for part in solve(joint_problem, 1, 200)])
    torch.testing.assert_close(found, here + step, rtol=1e-6, atol=1e-8)


def test_the_objective_falls_with_every_gauss_newton_iteration(joint_problem):
    features, labels, weights = joint_problem[:3]
    objective = [
        float(joint_residuals(features, labels, weights, *solve(joint_problem, n, 10)).square().sum()) for n in range(7)
    ]
    assert all(later < earlier for earlier, later in zip(objective[:4], objective[1:4], strict=False))
    assert objective[6] == pytest.approx(min(objective), rel=1e-3)
    assert objective[6] < 0.5 * objective[0]


def test_the_filter_alone_converges_to_the_ridge_solution_where_responses_are_positive():
    # All positive: the activation is the identity there, and the problem linear.
    features, labels = torch.rand(3, 2, 6, 6).double(), 1 + torch.rand(3, 6, 6).double()
    weights, start = torch.tensor([0.2, 0.3, 0.5]).double(), torch.rand(2, 16).double()
    samples = Samples(features, 4)
    design = torch.stack([samples.correlate(e.view(2, 16)).flatten() for e in torch.eye(32).double()], dim=1)
    w = weights[:, None, None].expand(3, 6, 6).flatten()
    gram = design.T @ (w[:, None] * design) + FILTER_REG * torch.eye(32).double()
    expected = torch.linalg.solve(gram, design.T @ (w * labels.flatten())).view(2, 16)

    found = solve_filter(samples, labels, weights, start, FILTER_REG, FLOOR, 100)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
    nearer = solve_filter(samples, labels, weights, start, FILTER_REG, FLOOR, 3)
    assert (nearer - expected).norm() < (start - expected).norm()


@pytest.mark.parametrize("polak_ribiere", [False, True])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_conjugate_gradients_solve_a_linear_system(polak_ribiere, preconditioned):
    root = torch.randn(12, 12).double()
    matrix = root @ root.T + torch.diag(torch.linspace(0.1, 10, 12).double())
    right = torch.randn(12).double()
    preconditioner = matrix.diagonal() if preconditioned else None
    found = conjugate_gradients(lambda v: matrix @ v, right, 60, preconditioner, polak_ribiere)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, right), rtol=1e-6, atol=1e-8)


def test_conjugate_gradients_of_nothing_are_zero():
    assert torch.equal(conjugate_gradients(lambda v: v, torch.zeros(3), 5, None, True), torch.zeros(3))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_leave_the_filter_as_it_was(bad, joint_problem):
    features, labels, weights, projection, filter = joint_problem
    features[1, 2, 3, 3] = bad
    new_projection, new_filter = solve(joint_problem, 2, 5)
    assert torch.equal(new_projection, projection) and torch.equal(new_filter, filter)
    samples, start = Samples(features, 3), torch.randn(4, 9).double()
    assert torch.equal(solve_filter(samples, labels, weights, start, FILTER_REG, FLOOR, 5), start)
