"""One step of training a regression network: an energy-based model by one of seven losses, or a baseline.

Batches are {"x": input (B, ...), "label": (B, D)} for the toy, age and head pose. All that is special to a task lies in
its network, including any scaling of targets: labels, candidates and predictions here are in the unit of the labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ebm_common import (
    Energy,
    GaussianMixtureProposal,
    SoftmaxBins,
    contrastive_divergence,
    denoising_score_matching,
    effective_sample_size,
    gaussian_loss,
    huber_loss,
    kl_importance_sampling,
    l2_loss,
    langevin_sample,
    laplace_loss,
    log_partition_importance_sampling,
    multivariate_laplace_loss,
    nll_importance_sampling,
    noise_contrastive_estimation,
    score_matching,
)
from ltr.actors.base import Actor
from ltr.common.settings import renamed_field

EnergyLoss = Literal["nll", "kld", "nce", "nce_plus", "mcmc", "dsm", "sm"]
BaselineKind = Literal[
    "direct_l2",
    "direct_huber",
    "gaussian",
    "laplace",
    "multivariate_laplace",
    "softmax_ce_l2",
    "softmax_ce_l2_var",
]
Predict = Callable[[Energy, dict[str, Tensor]], Tensor]


@dataclass
class EnergyLossSettings:
    """The loss of an energy-based model. All widths are standard deviations in the unit of the labels."""

    kind: EnergyLoss = "nll"
    """nll: the paper's likelihood by importance sampling (Eq. 4). The others are those of Gustafsson et al., BMVC 2020:
    KL to a density around the label, NCE, NCE+, likelihood by Langevin chains, denoising and plain score matching."""
    num_samples: int = renamed_field("number", 1024)
    """M, candidates or chains of a label (Appendices B, E and F); sm has none."""
    sigmas: tuple[float, ...] = (0.1, 0.8)
    """Widths of the proposal's components (Eq. 5), for nll, kld, nce, nce_plus, and the likelihood in validation. Toy:
    0.1 and 0.8 (Appendix B)."""
    beta: float = 0.025
    """nce_plus: noise on the label, relative to the proposal (BMVC 2020, 1-D)."""
    sigma_gt: float = 0.025
    """kld: width of the density around the label (BMVC 2020, 1-D)."""
    sigma_dsm: float = 0.2
    """dsm: noise on the label (BMVC 2020, first 1-D set)."""
    langevin_step: float = 0.05
    """mcmc: alpha (BMVC 2020, first 1-D set)."""
    langevin_iterations: int = 16
    """mcmc: L (BMVC 2020, 1-D)."""


class EnergyActor(Actor):
    """Trains f(x, y) so that p(y | x) = exp f(x, y) / Z(x).

    Statistics are the loss and, for losses with a proposal, `log_z` and `effective_samples`. In validation every loss
    has those two and `nll` (Eq. 4), by which models of different losses can be compared; and, if `predict` is given,
    `error`, the mean absolute error.

    Args:
        net: `net.encode(x)` returns features, (B, C) or any that `net.energy(features, y)` takes beside y (B, M, D) to
            return f (B, M).
        loss: which loss, and its constants.
        predict: (energy, batch) -> (B, D), with `energy` (B, M, D) -> (B, M) for the batch's inputs: the prediction
            that validation measures, such as a guess in the batch that `ebm_common.ascend` improves.

    Raises:
        ValueError: if a constant is out of range.
    """

    net: Any  # a module whose methods torch's types do not know

    def __init__(self, net: nn.Module, loss: EnergyLossSettings, predict: Predict | None = None) -> None:
        super().__init__()
        if loss.num_samples < 1 or loss.langevin_iterations < 0:
            raise ValueError(
                "loss.num_samples must be at least 1 and loss.langevin_iterations at least 0, "
                f"got {loss.num_samples} and {loss.langevin_iterations}"
            )
        for name in ("beta", "sigma_gt", "sigma_dsm", "langevin_step"):
            if not getattr(loss, name) > 0:
                raise ValueError(f"loss.{name} must be positive, got {getattr(loss, name)}")
        self.net, self.loss, self.predict = net, loss, predict
        self.proposal = GaussianMixtureProposal(loss.sigmas)

    def trainable_parameters(self) -> list[nn.Parameter]:
        return [p for p in self.net.parameters() if p.requires_grad]

    def checkpoint_model(self) -> nn.Module:
        return self.net

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss (scalar) and statistics of a batch."""
        label, features = batch["label"], self.net.encode(batch["x"])

        def energy(y: Tensor) -> Tensor:
            return self.net.energy(features, y)

        with_proposal = self.loss.kind in ("nll", "kld", "nce", "nce_plus")
        loss, stats = (self._by_proposal if with_proposal else self._without_proposal)(energy, label)
        if not self.training:
            if self.loss.kind == "nll":
                stats["nll"] = loss
            else:
                stats["nll"], of_proposal = self._likelihood(energy, label)
                stats |= of_proposal
            if self.predict is not None:
                stats["error"] = (self.predict(energy, batch) - label).abs().mean()
        return loss, {"loss": loss.detach(), **stats}

    def _by_proposal(self, energy: Energy, label: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if self.loss.kind == "nll":
            return self._likelihood(energy, label)
        y = self.proposal.sample(label, self.loss.num_samples)
        log_q = self.proposal.log_prob(y, label)
        if self.loss.kind == "kld":
            f = energy(y)
            loss = kl_importance_sampling(f, log_q, GaussianMixtureProposal([self.loss.sigma_gt]).log_prob(y, label))
        else:
            first = label[:, None]
            if self.loss.kind == "nce_plus":
                first = self.proposal.scaled(self.loss.beta).sample(label, 1)
            f = energy(torch.cat([first, y], dim=1))
            f_first, f = f[:, 0], f[:, 1:]
            loss = noise_contrastive_estimation(f_first, f, self.proposal.log_prob(first, label)[:, 0], log_q)
        return loss, _sampling_statistics(f, log_q)

    def _without_proposal(self, energy: Energy, label: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        s = self.loss
        if s.kind == "sm":
            return score_matching(energy, label[:, None]), {}
        if s.kind == "dsm":
            return denoising_score_matching(energy, label, s.sigma_dsm, s.num_samples), {}
        chains = label[:, None].expand(-1, s.num_samples, -1)
        y = langevin_sample(energy, chains, s.langevin_step, s.langevin_iterations)
        f = energy(torch.cat([label[:, None], y], dim=1))
        return contrastive_divergence(f[:, 0], f[:, 1:]), {}

    def _likelihood(self, energy: Energy, label: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        y = self.proposal.sample(label, self.loss.num_samples)
        log_q = self.proposal.log_prob(y, label)
        f = energy(torch.cat([label[:, None], y], dim=1))
        return nll_importance_sampling(f[:, 0], f[:, 1:], log_q), _sampling_statistics(f[:, 1:], log_q)


class BaselineActor(Actor):
    """Trains a network whose output is a target, a density, or probabilities of bins (Appendices B, E.4, F.4).

    ==================================  =====================================  =========================
    kind                                `net.output(x)`                        prediction
    ==================================  =====================================  =========================
    direct_l2, direct_huber             y (B, D)                               y
    gaussian                            mean, log variance, (B, D) both        mean
    laplace (product, S6)               mean, log scale, (B, D) both           mean
    multivariate_laplace (S9, S10)      mean, log squared scale, (B, D) both   mean
    softmax_ce_l2, softmax_ce_l2_var    logits (B, D, C)                       expected value
    ==================================  =====================================  =========================

    Validation measures `mae`, the mean absolute error over samples and dimensions.

    Args:
        net: its method `output` returns what the table says.
        kind: its output and loss; see `ebm_common.baselines`.
        bins: the C bins of the softmax kinds.

    Raises:
        ValueError: if a softmax kind has no bins.
    """

    net: Any  # a module whose methods torch's types do not know

    def __init__(self, net: nn.Module, kind: BaselineKind, bins: SoftmaxBins | None = None) -> None:
        super().__init__()
        if kind.startswith("softmax") and bins is None:
            raise ValueError(f"{kind} needs bins")
        self.net, self.kind, self.bins = net, kind, bins

    def trainable_parameters(self) -> list[nn.Parameter]:
        return [p for p in self.net.parameters() if p.requires_grad]

    def checkpoint_model(self) -> nn.Module:
        return self.net

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss (scalar) and statistics of a batch."""
        output, label = self.net.output(batch["x"]), batch["label"]
        match self.kind:
            case "direct_l2":
                loss = l2_loss(output, label)
            case "direct_huber":
                loss = huber_loss(output, label)
            case "gaussian":
                loss = gaussian_loss(output[0], output[1], label)
            case "laplace":
                loss = laplace_loss(output[0], output[1], label)
            case "multivariate_laplace":
                loss = multivariate_laplace_loss(output[0], output[1], label)
            case "softmax_ce_l2" | "softmax_ce_l2_var" as kind:
                assert self.bins is not None
                # Labels beyond the bins count as the outermost: no expected value lies further out.
                inside = label.clamp(self.bins.lower, self.bins.upper)
                loss = self.bins.loss(output, inside, variance_weight=0.05 if kind == "softmax_ce_l2_var" else 0.0)
        stats = {"loss": loss.detach()}
        if not self.training:
            stats["mae"] = (self._prediction(output) - label).abs().mean()
        return loss, stats

    def predict(self, x: Tensor) -> Tensor:
        """The prediction (B, D), in the unit of the labels."""
        return self._prediction(self.net.output(x))

    def _prediction(self, output: Any) -> Tensor:
        if self.kind.startswith("direct"):
            return output
        if self.kind.startswith("softmax"):
            assert self.bins is not None
            return self.bins.moments(output).mean
        return output[0]


def _sampling_statistics(f: Tensor, log_q: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return {
            "log_z": log_partition_importance_sampling(f, log_q).mean(),
            "effective_samples": effective_sample_size(f, log_q).mean(),
        }
