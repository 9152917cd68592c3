"""The toy's networks: sizes, and the joint layer that takes g_x once."""

import pytest
import torch

from ltr.models.regression.toy import ToyEnergyNet, ToyGaussianNet, ToySmoothEnergyNet


def linear(*sizes: int) -> int:
    return sum(i * o + o for i, o in zip(sizes[:-1], sizes[1:], strict=True))


@pytest.mark.parametrize(
    ("net", "parameters"),
    [
        (ToyGaussianNet, linear(1, 10, 10) + 2 * linear(10, 10, 10, 1)),  # 592, Appendix B
        (ToyEnergyNet, 2 * linear(1, 10, 10) + linear(20, 10, 10, 1)),  # 591, Appendix B
        (ToySmoothEnergyNet, linear(1, 10, 10) + linear(1, 10) + linear(20, 10, 10, 10, 1)),  # 591
    ],
)
def test_sizes_are_the_papers(net, parameters):
    assert sum(p.numel() for p in net().parameters()) == parameters


@pytest.mark.parametrize("net", [ToyEnergyNet, ToySmoothEnergyNet])
def test_energy_is_that_of_concatenated_features(net):
    net = net()
    x, y = torch.randn(3, 1), torch.randn(3, 7, 1)
    g_x, g_y = net.encode(x), net.y_net(y)
    joined = torch.cat([g_x[:, None].expand(-1, 7, -1), g_y], dim=-1)
    hidden = net.joint_in(joined)
    if isinstance(net, ToyEnergyNet):
        expected = net.joint(hidden)
    else:
        hidden = hidden.tanh()
        for layer in net.residual:
            hidden = layer(hidden).tanh() + hidden
        expected = net.out(hidden)
    torch.testing.assert_close(net.energy(g_x, y), expected[..., 0])


def test_the_smooth_net_has_curvature_and_the_papers_has_none():
    def curvature(net: torch.nn.Module) -> torch.Tensor:
        y = torch.randn(4, 5, 1, requires_grad=True)
        (slope,) = torch.autograd.grad(net.energy(net.encode(torch.randn(4, 1)), y).sum(), y, create_graph=True)
        return torch.autograd.grad(slope.sum(), y, allow_unused=True, materialize_grads=True)[0].abs().max()

    assert curvature(ToySmoothEnergyNet()) > 1e-3
    assert curvature(ToyEnergyNet()) == 0


def test_gaussian_net_gives_mean_and_log_variance():
    mean, log_variance = ToyGaussianNet().output(torch.randn(6, 1))
    assert mean.shape == log_variance.shape == (6, 1)
    assert not torch.equal(mean, log_variance)
