"""One step of training a regression network: an energy-based model by one of seven losses, or a baseline.

Batches are {"x": input (B, ...), "label": (B, D)} for the toy, age and head pose. All that is special to a task lies in
its network, including any scaling of targets: labels, candidates and predictions here are in the unit of the labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from ebm_common import (
    Energy,
    GaussianMixtureProposal,
    SoftmaxBins,
    gaussian_loss,
    huber_loss,
    l2_loss,
    laplace_loss,
    multivariate_laplace_loss,
)
from ltr.actors.base import Actor
from ltr.actors.density_loss import DensityLoss, EnergyLoss
from ltr.common.settings import renamed_field

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

    Statistics are the loss and, for losses with a proposal, those of :class:`DensityLoss`. In validation every loss has
    these and `nll` (Eq. 4), by which models of different losses can be compared; and, if `predict` is given, `error`,
    the mean absolute error.

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
        self.net, self.loss, self.predict = net, loss, predict
        self.density_loss = DensityLoss(
            loss.kind,
            GaussianMixtureProposal(loss.sigmas),
            loss.num_samples,
            beta=loss.beta,
            sigma_gt=loss.sigma_gt,
            sigma_dsm=loss.sigma_dsm,
            langevin_step=loss.langevin_step,
            langevin_iterations=loss.langevin_iterations,
        )

    def trainable_parameters(self) -> list[nn.Parameter]:
        return [p for p in self.net.parameters() if p.requires_grad]

    def checkpoint_model(self) -> nn.Module:
        return self.net

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss (scalar) and statistics of a batch."""
        label, features = batch["label"], self.net.encode(batch["x"])

        def energy(y: Tensor) -> Tensor:
            return self.net.energy(features, y)

        loss, stats = self.density_loss(energy, label, statistics=not self.training)
        if not self.training:
            stats["nll"] = stats["log_z"] - stats["f_label"]
            if self.predict is not None:
                stats["error"] = (self.predict(energy, batch) - label).abs().mean()
        return loss, {"loss": loss.detach(), **stats}


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
