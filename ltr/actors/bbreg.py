"""One step of training a box network: ATOM, ATOM* and the paper's EBM (Section 4.2, Appendix D.1) in one actor.

The three share network, data and schedule. They differ in two choices: the candidate boxes drawn around the label, and
the loss of their scores.

=========  =============================  ==================================
system     candidates                     loss
=========  =============================  ==================================
ATOM       perturbed boxes, IoU > 0.1     squared error to 2 IoU - 1
ATOM*      Gaussian mixture (Eq. 5)       squared error to 2 IoU - 1
EBM        Gaussian mixture (Eq. 5)       negative log-likelihood (Eq. 4)
=========  =============================  ==================================

The EBM can also be trained by NCE+ (loss 'nce_plus'), which its authors recommend in Gustafsson et al., "How to Train
Your Energy-Based Model for Regression" (BMVC 2020). The constants of that paper's tracker are not published: the
candidates here are those of the likelihood, and `BBRegProposalSettings.beta` is that of its detector.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from ebm_common import (
    GaussianMixtureProposal,
    ascend,
    effective_sample_size,
    elementwise_iou,
    log_partition_importance_sampling,
    nll_importance_sampling,
    noise_contrastive_estimation,
    rect_to_rel,
    rel_to_rect,
)
from ltr.actors.base import Actor
from ltr.actors.held_out_refinement import ITERATIONS, mean_of_best, random_starts
from ltr.common.settings import renamed_field
from ltr.models.backbone.frozen import FrozenBackbone
from ltr.models.bbreg import AtomNet, BoxFeatures

BoxLoss = Literal["nll", "nce_plus", "iou"]

_GPU_ROUNDS = 8
"""Rounds of candidates between two checks whether any is missing; each check waits for the GPU."""


@dataclass
class BBRegProposalSettings:
    """Candidate boxes of one label."""

    kind: Literal["perturbation", "mixture"] = "mixture"
    """'perturbation' is ATOM's, 'mixture' the paper's Gaussian mixture in the relative parametrisation."""
    num_samples: int = renamed_field("number", 128)
    """M, candidates of a label (ATOM 16; ATOM* and EBM 128, Appendix D.1)."""
    sigmas: tuple[tuple[float, float], ...] = ((0.05, 0.05), (0.5, 0.5))
    """Standard deviations of each component for (position, size) (Appendix D.1)."""
    beta: float = 0.1
    """nce_plus: noise on the label, relative to the mixture's own (BMVC 2020, its detector). 0 is plain NCE."""
    perturbation_sigmas: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2, 0.3)
    """ATOM: standard deviations of the noise relative to sqrt(w h); each candidate draws one of them."""
    min_iou: float = 0.1
    """ATOM: overlap with the label that every candidate must exceed."""


@dataclass
class BBRegRefinementSettings:
    """The refinement in validation: plain gradient ascent in the relative parametrisation (Appendix D.2)."""

    step: tuple[float, float] = field(default=(2e-4, 1e-3))
    """Step-lengths for (position, size). EBM (2e-4, 1e-3), ATOM* (1e-2, 5e-2)."""


class BBRegActor(Actor):
    """Trains a box network by one of the losses of the module's table.

    Args:
        net: the network; only its `bb_regressor` is trained.
        proposals: the candidate boxes.
        loss: 'nll', 'nce_plus' or 'iou'. The first two train a density p(y | x) and have the same statistics; their
            validations can be compared by `log_z` - `f_label`, the negative log-likelihood of the exact labels.
        refinement: of boxes in validation.

    Raises:
        ValueError: if settings are out of range, or do not fit each other.
    """

    def __init__(
        self, net: AtomNet, proposals: BBRegProposalSettings, loss: BoxLoss, refinement: BBRegRefinementSettings
    ):
        super().__init__()
        if loss != "iou" and proposals.kind != "mixture":
            raise ValueError(f"{loss} needs the density of its candidates: proposals.kind must be 'mixture'")
        if not 0 <= proposals.beta < math.inf:
            raise ValueError(f"proposals.beta must be finite and at least 0, got {proposals.beta}")
        self.net = net
        self.proposals = proposals
        self.loss = loss
        self.refinement = refinement
        self.mixture = GaussianMixtureProposal([(p, p, s, s) for p, s in proposals.sigmas])
        self._backbone = FrozenBackbone(net.feature_extractor)

    def trainable_parameters(self) -> list[nn.Parameter]:
        return list(self.net.bb_regressor.parameters())

    def checkpoint_model(self) -> nn.Module:
        return self.net

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss (scalar) and statistics of a batch of :class:`ltr.data.sampling.BoxPairs`, or of cached features."""
        # Candidates first: their checks wait for the GPU, so they come before the long queue of the networks' work.
        box = batch["test_box"]
        label = rect_to_rel(box, box[:, 2:])[:, None]

        if self.proposals.kind == "mixture":
            y = self.mixture.sample(label[:, 0], self.proposals.num_samples)
        else:
            candidates = perturb_boxes(
                box, self.proposals.num_samples, self.proposals.perturbation_sigmas, self.proposals.min_iou
            )
            y = rect_to_rel(candidates, box[:, None, 2:])
        if self.loss != "iou":
            log_q = self.mixture.log_prob(y, label[:, 0])
        marked = [label]
        if self.loss == "nce_plus":
            # A share beta of the way to a candidate: noise of the mixture's shape, beta times as wide. Its density is
            # taken under the mixture itself, as for the other candidates.
            noisy = label.lerp(self.mixture.sample(label[:, 0], 1), self.proposals.beta)
            log_q_noisy = self.mixture.log_prob(noisy, label[:, 0])[:, 0]
            marked.append(noisy)

        features = self.encode(batch, size=box[:, 2:])
        stats = {}
        head = self.net.bb_regressor
        if self.loss == "iou":
            f = head.energy(features, y).float()
            iou = elementwise_iou(rel_to_rect(y, box[:, None, 2:]), box[:, None])
            loss = nn.functional.mse_loss(f, 2 * iou - 1)
            stats["iou_error"] = (0.5 * (f.detach() - (2 * iou - 1))).abs().mean()
        else:
            # NCE+ does not train with the exact label; its energy is only for the statistics.
            f = head.energy(features, torch.cat([*marked, y], dim=1)).float()
            f_marked, f = f[:, : len(marked)], f[:, len(marked) :]
            if self.loss == "nll":
                loss = nll_importance_sampling(f_marked[:, 0], f, log_q)
            else:
                loss = noise_contrastive_estimation(f_marked[:, 1], f, log_q_noisy, log_q)
            with torch.no_grad():
                stats["log_z"] = log_partition_importance_sampling(f, log_q).mean()
                stats["f_label"] = f_marked[:, 0].mean()
                stats["effective_samples"] = effective_sample_size(f, log_q).mean()
        if not self.training:
            stats["start_iou"], stats["refined_iou"] = self._refined_iou(features, box)
        return loss, {"loss": loss.detach(), **stats}

    def encode(self, batch: dict[str, Tensor], size: Tensor) -> BoxFeatures:
        """The features of a batch's test images, for boxes relative to `size` (B, 2)."""
        if "reference_image" in batch:
            both = self._backbone(torch.cat([batch["reference_image"], batch["test_image"]]))
            halves = {level: f.chunk(2) for level, f in both.items()}
            reference, test = ({level: half[i] for level, half in halves.items()} for i in (0, 1))
        else:
            reference, test = (
                {level: batch[f"{k}_{level}"].float() for level in self.net.feature_extractor.out_channels}
                for k in ("reference", "test")
            )
        head = self.net.bb_regressor
        return head.encode(head.modulation(reference, batch["reference_box"]), test, size)

    def _refined_iou(self, features: BoxFeatures, box: Tensor) -> tuple[Tensor, Tensor]:
        """Mean IoU with the label of random starting boxes, and of the boxes that a tracker would refine them to."""
        starts, size = random_starts(box), box[:, None, 2:]
        head = self.net.bb_regressor
        p, s = self.refinement.step
        step = box.new_tensor([p, p, s, s])
        detached = BoxFeatures(*(t.detach() for t in features))
        result = ascend(lambda y: head.energy(detached, y).float(), rect_to_rel(starts, size), step, ITERATIONS)
        refined = mean_of_best(rel_to_rect(result.y, size), result.f)
        return elementwise_iou(starts, box[:, None]).mean(), elementwise_iou(refined, box).mean()


def perturb_boxes(boxes: Tensor, num_samples: int, sigmas: tuple[float, ...], min_iou: float) -> Tensor:
    """ATOM's training candidates: boxes (B, 4) in pixels -> (B, num_samples, 4), all on the device at once.

    Each candidate draws one of `sigmas`; Gaussian noise of sigma * sqrt(w h) moves its centre and changes its width and
    height. A side of at most one pixel becomes a random 0.15 to 0.5 of the label's; corners are rounded to whole
    pixels. If the overlap with the label does not exceed `min_iou`, the noise shrinks by a tenth and is drawn again, at
    most 100 times.

    On a GPU only every few rounds check whether all candidates are found; further rounds do not change a candidate that
    is found.
    """
    b = boxes.shape[0]
    side = boxes[:, 2:].prod(-1).sqrt()[:, None]
    choice = torch.randint(len(sigmas), (b, num_samples), device=boxes.device)
    scale = boxes.new_tensor(sigmas)[choice] * side
    label = boxes[:, None].expand(b, num_samples, 4)
    result = label.clone()
    open_ = torch.ones(b, num_samples, dtype=torch.bool, device=boxes.device)
    rounds = 1 if boxes.device.type == "cpu" else _GPU_ROUNDS
    for k in range(1, 101):
        noise = torch.randn(b, num_samples, 4, device=boxes.device, dtype=boxes.dtype) * scale[..., None]
        size = label[..., 2:] + noise[..., 2:]
        spare = label[..., 2:] * (0.15 + 0.35 * torch.rand(b, num_samples, 2, device=boxes.device, dtype=boxes.dtype))
        size = torch.where(size <= 1, spare, size)
        center = label[..., :2] + label[..., 2:] / 2 + noise[..., :2]
        candidate = torch.cat([(center - size / 2).round(), size.round()], dim=-1)
        result = torch.where(open_[..., None], candidate, result)
        open_ &= elementwise_iou(candidate, label) <= min_iou
        if k % rounds == 0 and not open_.any():
            break
        scale = torch.where(open_, scale * 0.9, scale)
    # a label smaller than a pixel can round to an empty candidate, which has no logarithm
    return torch.cat([result[..., :2], result[..., 2:].clamp(min=1)], dim=-1)
