"""The networks of the one-dimensional toy problem (Appendix B). Targets are not scaled.

The paper gives the sizes of the layers but no activation; it is ReLU here, as in the paper's other networks. The first
joint layer is linear in [g_x; g_y], so the part of g_x is computed once for all candidates of an x.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

_WIDTH = 10


class ToyGaussianNet(nn.Module):
    """Mean and log variance (S1): 1-10-10, then a head 10-10-10-1 for each."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = _relu_layers(1, _WIDTH, _WIDTH)
        self.mean = _head()
        self.log_variance = _head()

    def output(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, 1) -> mean (B, 1) and log variance (B, 1)."""
        shared = self.shared(x)
        return self.mean(shared), self.log_variance(shared)


class ToyEnergyNet(nn.Module):
    """The paper's f(x, y): 1-10-10 for x and for y, then 20-10-10-1."""

    def __init__(self) -> None:
        super().__init__()
        self.x_net = _relu_layers(1, _WIDTH, _WIDTH)
        self.y_net = _relu_layers(1, _WIDTH, _WIDTH)
        self.joint_in = nn.Linear(2 * _WIDTH, _WIDTH)
        self.joint = nn.Sequential(nn.ReLU(), nn.Linear(_WIDTH, _WIDTH), nn.ReLU(), nn.Linear(_WIDTH, 1))

    def encode(self, x: Tensor) -> Tensor:
        """x (B, 1) -> g_x (B, 10)."""
        return self.x_net(x)

    def energy(self, features: Tensor, y: Tensor) -> Tensor:
        """g_x (B, 10) and y (B, M, 1) -> f (B, M)."""
        return self.joint(_joined(self.joint_in, features, self.y_net(y)))[..., 0]


class ToySmoothEnergyNet(nn.Module):
    """The f(x, y) of the follow-up (Gustafsson et al., BMVC 2020). It is smooth in y, as score matching requires.

    x goes through 1-10-10 with ReLU, y through 1-10 with tanh, and both through 20-10-10-10-1 with tanh, where the
    second and third layer are residual.
    """

    def __init__(self) -> None:
        super().__init__()
        self.x_net = _relu_layers(1, _WIDTH, _WIDTH)
        self.y_net = nn.Sequential(nn.Linear(1, _WIDTH), nn.Tanh())
        self.joint_in = nn.Linear(2 * _WIDTH, _WIDTH)
        self.residual = nn.ModuleList(nn.Linear(_WIDTH, _WIDTH) for _ in range(2))
        self.out = nn.Linear(_WIDTH, 1)

    def encode(self, x: Tensor) -> Tensor:
        """x (B, 1) -> g_x (B, 10)."""
        return self.x_net(x)

    def energy(self, features: Tensor, y: Tensor) -> Tensor:
        """g_x (B, 10) and y (B, M, 1) -> f (B, M)."""
        hidden = _joined(self.joint_in, features, self.y_net(y)).tanh()
        for layer in self.residual:
            hidden = hidden + layer(hidden).tanh()
        return self.out(hidden)[..., 0]


def _relu_layers(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, o in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(i, o), nn.ReLU()]
    return nn.Sequential(*layers)


def _head() -> nn.Sequential:
    return nn.Sequential(*_relu_layers(_WIDTH, _WIDTH, _WIDTH), nn.Linear(_WIDTH, 1))


def _joined(layer: nn.Linear, g_x: Tensor, g_y: Tensor) -> Tensor:
    """`layer` of [g_x; g_y] for g_x (B, C) and g_y (B, M, C): (B, M, C)."""
    of_x, of_y = layer.weight.split(g_x.shape[-1], dim=1)
    return F.linear(g_y, of_y) + F.linear(g_x, of_x, layer.bias)[:, None]
