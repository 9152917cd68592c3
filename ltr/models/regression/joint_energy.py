r"""The energy of age and head pose (Appendices E.1 and F.1), with the image's part of its first layer computed once.

The joint network is f = w . relu(W [g_x; g_y] + b) + c with g_x (C,) of the image and g_y (128,) of the candidate. Its
first layer is linear, so W = [W_x, W_y] and

.. math:: f(x, y) = w^T \mathrm{relu}(a_x + W_y g_y) + c, \qquad a_x = W_x g_x + b,

where a_x is the same for the M = 1024 candidates of an image. This is the same function; it costs C columns of work for
each image and 128 for each candidate, instead of C + 128 for each candidate.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

WIDTHS = (16, 32, 64, 128)  # of the candidate's layers
HIDDEN = 2048  # of the joint network
_CPU_ELEMENTS, _GPU_ELEMENTS = 2**19, 2**26  # of a part of the hidden layer: the size of a core's cache; 256 MB


class JointEnergy(nn.Module):
    """f(x, y) from features of images and candidates.

    A ReLU follows each of the candidate's four layers (the paper does not mention these; related published models have
    them) and the first of the two joint layers. The candidate enters in its own unit: years, degrees. Autocast applies
    to the image encoder only: in bfloat16, ages near 40 are a quarter of a year apart, but samples are 0.1 away.

    Args:
        channels: C of the image features.
        targets: D of the candidates.
    """

    def __init__(self, channels: int, targets: int) -> None:
        super().__init__()
        self.channels = channels
        sizes = (targets, *WIDTHS)
        layers = zip(sizes, sizes[1:], strict=False)
        self.candidate = nn.Sequential(*(part for n, m in layers for part in (nn.Linear(n, m), nn.ReLU(inplace=True))))
        self.joint = nn.Linear(channels + WIDTHS[-1], HIDDEN)
        self.score = nn.Linear(HIDDEN, 1)

    def encode(self, g_x: Tensor) -> Tensor:
        """a_x (B, 2048), all that candidates need of an image, from its features (B, C)."""
        with torch.autocast(g_x.device.type, enabled=False):
            weight = self.joint.weight[:, : self.channels]
            return nn.functional.linear(g_x.to(weight.dtype), weight, self.joint.bias)

    def energy(self, a_x: Tensor, y: Tensor) -> Tensor:
        """f (B, M) of candidates y (B, M, D) for images with a_x (B, 2048) of :meth:`encode`."""
        with torch.autocast(y.device.type, enabled=False):
            w_y, w = self.joint.weight[:, self.channels :], self.score.weight[0]
            f = _HiddenLayer.apply(a_x, self.candidate(y), w_y, w, torch.is_grad_enabled())
            return f + self.score.bias

    def plain_energy(self, g_x: Tensor, y: Tensor) -> Tensor:
        """The same f (B, M) from the image features g_x (B, C), as the paper writes it: the reference for tests.

        For its gradient it keeps several arrays of B x M x 2048 and one of B x M x (C + 128).
        """
        both = torch.cat([g_x[:, None].expand(-1, y.shape[1], -1), self.candidate(y)], dim=-1)
        return self.score(torch.relu(self.joint(both)))[..., 0]


class _HiddenLayer(torch.autograd.Function):
    r"""w . relu(a_x + W_y g_y), in parts that stay in the cache; it saves one byte for each hidden unit.

    The gradients depend on the hidden layer only by where it is positive. With G = [h > 0] df they are (G w) W_y for
    g_y, w sum(G) for a_x and w (G^T g_y) for W_y. The gradient for w is the sum of df h, which equals the sum of
    G (a_x + W_y g_y) and follows from the same sums. All are ordinary operations, so they have gradients themselves.
    """

    @staticmethod
    def forward(ctx: Any, a_x: Tensor, g_y: Tensor, w_y: Tensor, w: Tensor, keep: bool) -> Tensor:
        f = g_y.new_empty(g_y.shape[:2])
        positive = torch.empty(*g_y.shape[:2], len(w) if keep else 0, dtype=torch.bool, device=g_y.device)
        for images, parts in _parts(g_y, len(w)):
            for rows in parts:
                h = g_y[images, rows] @ w_y.T
                h += a_x[images, None]
                if keep:
                    torch.gt(h, 0, out=positive[images, rows])
                f[images, rows] = h.relu_() @ w
        ctx.save_for_backward(a_x, g_y, w_y, w, positive)
        return f

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a_x, g_y, w_y, w, positive = ctx.saved_tensors
        weighted = w[:, None] * w_y
        to_candidates, sums = [], []
        product = torch.zeros_like(w_y)  # G^T g_y
        for images, parts in _parts(g_y, len(w)):
            of_images = torch.zeros_like(a_x[images])
            for rows in parts:
                g = positive[images, rows] * grad[images, rows, None]
                to_candidates.append((g @ weighted).flatten(0, 1))
                of_images = of_images + g.sum(1)
                product = product + g.flatten(0, 1).T @ g_y[images, rows].flatten(0, 1)
            sums.append(of_images)
        total = torch.cat(sums)  # of G over the candidates of each image
        to_w = (a_x * total).sum(0) + (w_y * product).sum(1)
        return w * total, torch.cat(to_candidates).view(g_y.shape), w[:, None] * product, to_w, None


def _parts(g_y: Tensor, hidden: int) -> list[tuple[slice, list[slice]]]:
    """Slices of images, each with slices of their candidates, so that the hidden layers are small."""
    batch, m = g_y.shape[:2]
    most = max(1, (_CPU_ELEMENTS if g_y.device.type == "cpu" else _GPU_ELEMENTS) // hidden)
    images, rows = max(1, most // m), min(most, m)
    slices = [slice(k, min(k + rows, m)) for k in range(0, m, rows)]
    return [(slice(i, min(i + images, batch)), slices) for i in range(0, batch, images)]
