r"""The density p(y | x) = exp f(x, y) / Z(x) in any number of dimensions, by importance sampling.

Candidates y_m drawn from a proposal q have the weights

.. math:: w_m \propto e^{f(x, y_m)} / q(y_m), \qquad \sum_m w_m = 1,

and expectations under p(y | x) are weighted sums over them: moments, intervals, marginals, regions. Their effective
sample size says how many independent draws from p they are worth. If it is small, trust none of these results. In one
to three dimensions, :mod:`ebm_common.density` computes the same exactly, on a grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from ebm_common.energy import Energy, evaluate
from ebm_common.proposals import GaussianMixtureProposal

__all__ = ["ImportanceSample", "importance_sample"]

_WIDER = 1.5  # the second round's standard deviations over the first's estimate: tails must be covered
_DEFENSIVE = 0.1  # share of the first round's proposal in the second


@dataclass(frozen=True)
class ImportanceSample:
    """Weighted candidates that represent p(y | x), for each row of a batch.

    Methods that take `values` (B, M, K) describe functions of the candidates, such as the sides of boxes, in place of
    their own coordinates. Without `values` they take y, and K = D.

    Attributes:
        y: (B, M, D) candidates.
        f: (B, M) their energies.
        log_weight: (B, M) logarithms of weights that sum to one in each row; -inf where f is -inf.
        log_z: (B,) the estimate of log Z(x).
    """

    y: Tensor
    f: Tensor
    log_weight: Tensor
    log_z: Tensor

    def effective_sample_size(self) -> Tensor:
        """Kish's effective sample size, (sum w)^2 / sum w^2: (B,) in [1, M]."""
        return (-torch.logsumexp(2 * self.log_weight, dim=1)).exp()

    def log_density(self) -> Tensor:
        """The logarithm of p(y_m | x) at the candidates, (B, M)."""
        return self.f - self.log_z[:, None]

    def tempered(self, temperature: float | Tensor) -> ImportanceSample:
        """The same candidates, weighted for a density proportional to exp(f(x, y) / temperature).

        Above 1 the density is flatter. A temperature fitted on held-out data (`ebm_common.temperature_curve`) corrects
        an overconfident density (Guo et al., ICML 2017). The further it is from 1, the smaller the effective sample
        size.

        Args:
            temperature: positive, a number or (B,).
        """
        f = self.f / torch.as_tensor(temperature, dtype=self.f.dtype, device=self.f.device).reshape(-1, 1)
        # log_weight is f - log q less the logarithm of its sum, log_z + log M.
        log_q = self.f - self.log_weight - (self.log_z + math.log(self.f.shape[1]))[:, None]
        # Candidates with f = -inf have no weight at any temperature.
        return _weigh(self.y, f, log_q.nan_to_num(nan=0.0, posinf=math.inf, neginf=-math.inf))

    def mean(self, values: Tensor | None = None) -> Tensor:
        """The expectation, (B, K)."""
        return (self.log_weight.exp()[..., None] * self._values(values)).sum(dim=1)

    def covariance(self, values: Tensor | None = None) -> Tensor:
        """The covariance, (B, K, K)."""
        off = self._values(values) - self.mean(values)[:, None]
        return (self.log_weight.exp()[..., None] * off).transpose(1, 2) @ off

    def quantile(self, probability: float, values: Tensor | None = None) -> Tensor:
        """The quantile of each coordinate, (B, K).

        Each candidate's value counts as the middle of its weight. Between two candidates the quantile is interpolated.

        Raises:
            ValueError: if the probability is not within [0, 1].
        """
        if not 0 <= probability <= 1:
            raise ValueError(f"a probability must be within [0, 1], got {probability}")
        values, order = self._values(values).sort(dim=1)
        weight = self.log_weight.exp()[..., None].expand_as(values).gather(1, order)
        middle = weight.cumsum(dim=1) - weight / 2  # increases along dim 1
        target = torch.full_like(values[:, :1], probability)
        above = torch.searchsorted(middle.mT.contiguous(), target.mT.contiguous()).mT
        below = (above - 1).clamp(min=0)
        above = above.clamp(max=values.shape[1] - 1)
        start, end = middle.gather(1, below), middle.gather(1, above)
        share = ((target - start) / (end - start).clamp(min=torch.finfo(values.dtype).tiny)).clamp(0, 1)
        return torch.lerp(values.gather(1, below), values.gather(1, above), share)[:, 0]

    def credible_interval(self, level: float, values: Tensor | None = None) -> Tensor:
        """The central interval that holds `level` of the probability, for each coordinate.

        Returns:
            (B, K, 2), its lower and upper end.

        Raises:
            ValueError: if the level is not within [0, 1].
        """
        tail = (1 - level) / 2
        return torch.stack([self.quantile(tail, values), self.quantile(1 - tail, values)], dim=-1)

    def region_threshold(self, level: float) -> Tensor:
        """The energy c, (B,), for which the region {y: f(x, y) >= c} holds `level` of the probability.

        No smaller region holds as much.

        Raises:
            ValueError: if the level is not within [0, 1].
        """
        finite = self.f.clamp(min=torch.finfo(self.f.dtype).min)
        return -self.quantile(level, -finite[..., None])[:, 0]

    def level(self, f: Tensor) -> Tensor:
        """The probability of {y: f(x, y) > f}, (B,), for energies `f` (B,).

        It is the level of the smallest region of highest density that holds a point with such an energy. Over points
        drawn from p(y | x) itself it is uniform on [0, 1].
        """
        return (self.log_weight.exp() * (self.f > f[:, None])).sum(dim=1)

    def marginal(self, values: Tensor, num_points: int) -> tuple[Tensor, Tensor]:
        """The density of one function of y, smoothed by a Gaussian kernel.

        The bandwidth is Silverman's rule, for the effective sample size and the smaller of standard deviation and
        scaled interquartile range. It broadens a normal density by about 3% for 500 samples, and other densities less.

        Args:
            values: (B, M) the function at the candidates.
            num_points: P, the number of points at which to compute the density. They are evenly spaced from three
                bandwidths below the 0.1% quantile to three above the 99.9% quantile.

        Returns:
            The points (B, P), in the unit of `values`, and the density there, (B, P).
        """
        spread = self.covariance(values[..., None])[:, 0, 0].sqrt()
        quartiles = self.credible_interval(0.5, values[..., None])[:, 0]
        robust = (quartiles[:, 1] - quartiles[:, 0]) / 1.349
        width = 0.9 * torch.where(robust > 0, torch.minimum(spread, robust), spread)
        width = width * self.effective_sample_size() ** -0.2
        # A density on a single point has no width. It gets one, so that it can be drawn.
        width = width.clamp(min=1e-6 * values.abs().amax().clamp(min=1e-3).item())
        ends = self.credible_interval(0.998, values[..., None])[:, 0]
        low, high = ends[:, 0] - 3 * width, ends[:, 1] + 3 * width
        fractions = torch.linspace(0, 1, num_points, dtype=values.dtype, device=values.device)
        points = low[:, None] + fractions * (high - low)[:, None]
        z = (points[:, :, None] - values[:, None]) / width[:, None, None]  # (B, P, M)
        kernel = (-0.5 * z.square()).exp() / (width[:, None, None] * math.sqrt(2 * math.pi))
        return points, (kernel @ self.log_weight.exp()[..., None])[..., 0]

    def _values(self, values: Tensor | None) -> Tensor:
        return self.y if values is None else values


@torch.no_grad()
def importance_sample(
    energy: Energy,
    center: Tensor,
    proposal: GaussianMixtureProposal,
    num_samples: int,
    generator: torch.Generator | None = None,
    chunk: int = 4096,
) -> ImportanceSample:
    r"""Represent p(y | x) by weighted candidates, from two rounds of importance sampling.

    The first M / 2 candidates come from the proposal around `center`. The others come from a Gaussian with the mean and
    covariance that the first estimate (its standard deviations 1.5 times as large), and a tenth of them from the
    proposal again. All are weighted by the density of the mixture of both rounds,

    .. math:: w \propto e^f / (n_1 q_1 + n_2 q_2),

    a deterministic mixture (Veach and Guibas 1995; Owen and Zhou 2000). No weight is then more than about twice what
    the proposal alone would give.

    Args:
        energy: (B, M, D) -> (B, M).
        center: (B, D) where to look, such as the prediction.
        proposal: wide enough to cover the bulk of p(y | x).
        num_samples: M >= 4 candidates in all.
        generator: source of randomness, on the device of `center`; None for the global one.
        chunk: candidates of each row in one call of `energy`.

    Raises:
        ValueError: if num_samples < 4, chunk < 1, the shapes do not fit, or `energy` returns another shape, NaN, +inf,
            or -inf for all candidates of the first round.

    Examples:
        A normal density in two dimensions, with mean 0.5 and standard deviation 0.25. Its log Z is
        log(2 pi 0.25^2) = -0.93, and its central 80% intervals are 0.5 -+ 0.32.

        >>> def energy(y):
        ...     return -0.5 * ((y - 0.5) / 0.25).square().sum(-1)
        >>> q = GaussianMixtureProposal([0.1, 1.0])
        >>> sample = importance_sample(energy, torch.zeros(1, 2), q, 20_000, torch.Generator().manual_seed(0))
        >>> print(f"{sample.log_z.item():.1f}")
        -0.9
        >>> sample.credible_interval(0.8).round(decimals=1)
        tensor([[[0.2000, 0.8000],
                 [0.2000, 0.8000]]])
    """
    if num_samples < 4:
        raise ValueError(f"num_samples must be at least 4, got {num_samples}")
    n_1 = num_samples // 2
    n_2 = num_samples - n_1
    y = proposal.sample(center, n_1, generator)
    f = evaluate(energy, y, chunk)
    if (f == -math.inf).all(dim=1).any():
        raise ValueError("the energy is -inf for every candidate: the proposal lies outside the target space")
    first = _weigh(y, f, proposal.log_prob(y, center))

    mean, factor = first.mean(), _widened_factor(first, proposal)
    second = MultivariateNormal(mean[:, None], scale_tril=factor[:, None], validate_args=False)
    noise = torch.randn(len(y), n_2, y.shape[2], generator=generator, device=mean.device, dtype=mean.dtype)
    drawn = mean[:, None] + noise @ factor.mT  # second.sample() takes no generator
    defensive = proposal.sample(center, n_2, generator)
    take = torch.rand(drawn.shape[:2], generator=generator, device=y.device) < _DEFENSIVE
    drawn = torch.where(take[..., None], defensive, drawn)
    y, f = torch.cat([y, drawn], dim=1), torch.cat([f, evaluate(energy, drawn, chunk)], dim=1)
    share_1 = (n_1 + _DEFENSIVE * n_2) / num_samples
    log_q = torch.logaddexp(
        proposal.log_prob(y, center) + math.log(share_1), second.log_prob(y) + math.log(1 - share_1)
    )
    return _weigh(y, f, log_q)


def _weigh(y: Tensor, f: Tensor, log_q: Tensor) -> ImportanceSample:
    log_weight = f - log_q
    total = torch.logsumexp(log_weight, dim=1)
    return ImportanceSample(y, f, log_weight - total[:, None], total - math.log(f.shape[1]))


def _widened_factor(sample: ImportanceSample, proposal: GaussianMixtureProposal) -> Tensor:
    """The Cholesky factor (B, D, D) of the covariance of the second round."""
    covariance = sample.covariance() * _WIDER**2
    # If few samples carry all the weight, the covariance is singular. The proposal's own width keeps a minimum.
    least = 0.1 * proposal.sigmas.amin(dim=0).to(covariance).expand(covariance.shape[-1])
    factor: Tensor = torch.linalg.cholesky(covariance + torch.diag(least.square()))
    return factor
