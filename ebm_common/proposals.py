"""The proposal q(y | y_i), whose samples estimate the normalising constant (Eq. 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["GaussianMixtureProposal"]


class GaussianMixtureProposal:
    r"""Equally weighted Gaussians of several widths, all centred at the label (Eq. 5):

    .. math:: q(y | c) = \frac{1}{L} \sum_{l=1}^{L} N(y; c, \mathrm{diag}(\sigma_l^2)).

    A sample draws one component for all of its D dimensions, not one for each dimension. It is therefore near the label
    in every dimension, or far in all that are wide.

    The density is with respect to y in the space where y is given. For boxes this is the space of relative coordinates
    (`ebm_common.boxes`): no Jacobian to pixels is included. exp f is a density in that space too, so the two belong
    together.

    Args:
        sigmas: standard deviations, (L, D), or (L,) for the same width in every dimension and any D.

    Attributes:
        sigmas: (L, D) or (L, 1), float64 on the CPU.

    Raises:
        ValueError: if there is no component, `sigmas` has another shape, or a value is not positive and finite.

    Examples:
        >>> q = GaussianMixtureProposal([0.1, 1.0])
        >>> label = torch.tensor([[5.0], [7.0]])  # B = 2 labels of D = 1
        >>> q.sample(label, 128).shape
        torch.Size([2, 128, 1])
        >>> q.log_prob(label[:, None], label).exp()  # at the labels: (1 / 0.1 + 1 / 1) / 2 / sqrt(2 pi)
        tensor([[2.1942],
                [2.1942]])
    """

    def __init__(self, sigmas: Tensor | Sequence[float] | Sequence[Sequence[float]]) -> None:
        sigmas = torch.as_tensor(sigmas, dtype=torch.float64).detach().cpu()
        if sigmas.ndim not in (1, 2) or sigmas.numel() == 0:
            raise ValueError(f"sigmas must have shape (L, D) or (L,) with L, D >= 1, got {tuple(sigmas.shape)}")
        bad = sigmas[~(torch.isfinite(sigmas) & (sigmas > 0))]
        if bad.numel():
            raise ValueError(f"sigmas must be positive and finite, got {bad[0].item()}")
        self.sigmas = sigmas if sigmas.ndim == 2 else sigmas[:, None]
        self._cast: dict[tuple[torch.device, torch.dtype], Tensor] = {}  # every copy to a GPU waits for it

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sigmas={self.sigmas.tolist()})"

    def scaled(self, factor: float) -> GaussianMixtureProposal:
        """The same mixture with all standard deviations multiplied by `factor`, as NCE+ needs for noise on labels.

        Raises:
            ValueError: if `factor` is not positive and finite.
        """
        return GaussianMixtureProposal(self.sigmas * factor)

    def sample(self, center: Tensor, num_samples: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `num_samples` candidates around each label.

        Args:
            center: (B, D) labels, whose device and dtype the result has.
            num_samples: M >= 1.
            generator: source of randomness, on the device of `center`; None for the global one.

        Returns:
            (B, M, D)

        Raises:
            ValueError: if `center` is not (B, D) with the D of the widths, or M < 1.
        """
        sigmas = self._widths(center)
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples}")
        shape = (center.shape[0], num_samples)
        component = torch.randint(len(sigmas), shape, generator=generator, device=center.device)
        noise = torch.randn(*shape, center.shape[1], generator=generator, device=center.device, dtype=center.dtype)
        return center[:, None] + sigmas[component] * noise

    def log_prob(self, y: Tensor, center: Tensor) -> Tensor:
        """The natural logarithm of q(y | center).

        Args:
            y: (B, M, D) points, from `sample` or elsewhere.
            center: (B, D) labels.

        Returns:
            (B, M), in float32 at least. Half-precision input is computed in float32.

        Raises:
            ValueError: if the shapes do not fit each other or the widths.
        """
        sigmas = self._widths(center)
        if y.ndim != 3 or (y.shape[0], y.shape[2]) != tuple(center.shape):
            raise ValueError(f"y must have shape (B, M, D) for center (B, D), got {tuple(y.shape)} for "
                             f"{tuple(center.shape)}")  # fmt: skip
        dtype = torch.promote_types(torch.promote_types(y.dtype, center.dtype), torch.float32)
        sigmas = sigmas.to(dtype)
        z = (y.to(dtype) - center[:, None].to(dtype))[:, :, None] / sigmas  # (B, M, L, D)
        log_norm = sigmas.log().sum(-1) + 0.5 * sigmas.shape[1] * math.log(2 * math.pi)  # (L,)
        return torch.logsumexp(-0.5 * z.square().sum(-1) - log_norm, dim=-1) - math.log(len(sigmas))

    def _widths(self, center: Tensor) -> Tensor:
        """(L, D) on the device and in the dtype of `center`."""
        num_components, dim = self.sigmas.shape
        if center.ndim != 2 or (dim != 1 and center.shape[1] != dim):
            raise ValueError(f"center must have shape (B, D) for sigmas (L, D) = {tuple(self.sigmas.shape)}, "
                             f"got {tuple(center.shape)}")  # fmt: skip
        key = (center.device, center.dtype)
        if key not in self._cast:
            self._cast[key] = self.sigmas.to(*key)
        return self._cast[key].expand(num_components, center.shape[1])
