"""The losses that train p(y | x) = exp f(x, y) / Z(x): one choice for all actors, whatever y is.

==========  ===================================================  ==========================================
loss        what it is                                           needs
==========  ===================================================  ==========================================
nll         the likelihood, Z by importance sampling (Eq. 4)     a proposal
kld         KL to a density around the label (KLD-IS)            a proposal, sigma_gt
nce         which candidate is the label?                        a proposal
nce_plus    which candidate is the label with noise? (NCE+)      a proposal, beta
mcmc        the likelihood, by Langevin chains (ML-MCMC)         gradients in y, langevin_*
dsm         denoising score matching                             gradients in y, sigma_dsm
sm          score matching                                       second derivatives in y
==========  ===================================================  ==========================================

All but the first are those of Gustafsson et al., "How to Train Your Energy-Based Model for Regression" (BMVC 2020).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ebm_common import (
    Energy,
    GaussianMixtureProposal,
    contrastive_divergence,
    denoising_score_matching,
    effective_sample_size,
    kl_importance_sampling,
    langevin_sample,
    log_partition_importance_sampling,
    nll_importance_sampling,
    noise_contrastive_estimation,
    score_matching,
)

EnergyLoss = Literal["nll", "kld", "nce", "nce_plus", "mcmc", "dsm", "sm"]
_WITH_PROPOSAL = ("nll", "kld", "nce", "nce_plus")


@dataclass
class BoxLossSettings:
    """Constants of the losses for boxes, in relative coordinates, from the detector of Gustafsson et al. (BMVC 2020).

    That paper's constants for the tracker are not published.
    """

    sigma_gt: float = 0.0225
    """kld: width of the density around the label."""
    sigma_dsm: float = 0.075
    """dsm: noise on the label."""
    langevin_step: float = 1e-5
    """mcmc: alpha. The published value moves a chain by 3e-5 in all, so that hardly anything is learned; 0.01 is a
    third of a sharp density's width."""
    langevin_iterations: int = 8
    """mcmc: L."""


class DensityLoss:
    """One of the losses, with its constants. All widths are in the unit of the labels.

    Args:
        kind: which loss.
        proposal: of the candidates of the losses that have any, and of the likelihood among the statistics.
        num_samples: M, candidates or chains of a label.
        beta: noise on the label, relative to the proposal; 0 makes NCE+ NCE.
        sigma_gt, sigma_dsm, langevin_step, langevin_iterations: see :class:`BoxLossSettings`.

    Raises:
        ValueError: if a constant is out of range.
    """

    def __init__(
        self,
        kind: EnergyLoss,
        proposal: GaussianMixtureProposal,
        num_samples: int,
        *,
        beta: float,
        sigma_gt: float,
        sigma_dsm: float,
        langevin_step: float,
        langevin_iterations: int,
    ) -> None:
        if num_samples < 1 or langevin_iterations < 0:
            raise ValueError(
                "num_samples must be at least 1 and langevin_iterations at least 0, "
                f"got {num_samples} and {langevin_iterations}"
            )
        if not 0 <= beta < math.inf:
            raise ValueError(f"beta must be finite and at least 0, got {beta}")
        for name, value in (("sigma_gt", sigma_gt), ("sigma_dsm", sigma_dsm), ("langevin_step", langevin_step)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {value}")
        self.kind, self.proposal, self.num_samples, self.beta = kind, proposal, num_samples, beta
        self.sigma_dsm = sigma_dsm
        self.langevin_step, self.langevin_iterations = langevin_step, langevin_iterations
        self._around_label = GaussianMixtureProposal([sigma_gt])

    def __call__(
        self, energy: Energy, label: Tensor, climbed: Energy | None = None, statistics: bool = True
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of labels (B, D), a scalar, and its statistics.

        These are `log_z`, `f_label` (whose difference is the negative log-likelihood of the exact labels, by which all
        losses can be compared) and `effective_samples`. They cost the losses without a proposal M further energies.

        Args:
            energy: of candidates (B, M, D).
            label: (B, D).
            climbed: the energy whose gradient in y is taken, if it is another: where `energy` has batch norms of the
                batch's own, each candidate's gradient has a share of all others.
            statistics: whether a loss without a proposal has them; the others always do.
        """
        if self.kind in _WITH_PROPOSAL:
            return self._by_proposal(self.kind, energy, label)
        loss = self._by_gradient(energy, label, climbed or energy)
        if not statistics:
            return loss, {}
        with torch.no_grad():
            return loss, self._by_proposal("nll", energy, label)[1]

    def _by_proposal(self, kind: EnergyLoss, energy: Energy, label: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        y = self.proposal.sample(label, self.num_samples)
        log_q = self.proposal.log_prob(y, label)
        # NCE+ and KLD-IS do not train with the exact label: there it is for the statistics alone
        marked = [label[:, None]]
        if kind == "nce_plus":
            # a share beta of the way to a candidate: noise of the mixture's shape, beta times as wide
            marked.append(marked[0].lerp(self.proposal.sample(label, 1), self.beta))
        f = energy(torch.cat([*marked, y], dim=1))
        f_label, f_first, f = f[:, 0], f[:, len(marked) - 1], f[:, len(marked) :]
        match kind:
            case "nll":
                loss = nll_importance_sampling(f_label, f, log_q)
            case "kld":
                loss = kl_importance_sampling(f, log_q, self._around_label.log_prob(y, label))
            case _:
                # the density of the noisy label is taken under the mixture itself, as for the other candidates
                log_q_first = self.proposal.log_prob(marked[-1], label)[:, 0]
                loss = noise_contrastive_estimation(f_first, f, log_q_first, log_q)
        with torch.no_grad():
            statistics = {
                "log_z": log_partition_importance_sampling(f, log_q).mean(),
                "f_label": f_label.mean(),
                "effective_samples": effective_sample_size(f, log_q).mean(),
            }
        return loss, statistics

    def _by_gradient(self, energy: Energy, label: Tensor, climbed: Energy) -> Tensor:
        match self.kind:
            case "sm":
                return score_matching(climbed, label[:, None])
            case "dsm":
                return denoising_score_matching(climbed, label, self.sigma_dsm, self.num_samples)
            case _:
                chains = label[:, None].expand(-1, self.num_samples, -1)
                y = langevin_sample(climbed, chains, self.langevin_step, self.langevin_iterations)
                f = energy(torch.cat([label[:, None], y], dim=1))
                return contrastive_divergence(f[:, 0], f[:, 1:])


def box_density_loss(
    kind: EnergyLoss, proposal: GaussianMixtureProposal, num_samples: int, beta: float, constants: BoxLossSettings
) -> DensityLoss:
    """The loss of a head whose layers have ReLU on pooled features.

    Raises:
        ValueError: if a constant is out of range, or the loss is sm.
    """
    if kind == "sm":
        raise ValueError(
            "score matching (loss sm) needs second derivatives in the box, which miss the kinks of the head's ReLU: "
            "take dsm"
        )
    return DensityLoss(kind, proposal, num_samples, beta=beta, **vars(constants))


@contextmanager
def running_statistics(module: nn.Module) -> Iterator[None]:
    """Within it, the batch norms of a module use and keep their running statistics, as in evaluation."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()
