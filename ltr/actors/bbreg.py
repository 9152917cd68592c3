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

The EBM can also be trained by the other losses of `density_loss.py`, of which its authors recommend NCE+ in Gustafsson
et al., "How to Train Your Energy-Based Model for Regression" (BMVC 2020). The constants of that paper's tracker are not
published: the candidates here are those of the likelihood, and all else is that of its detector.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from ebm_common import (
    GaussianMixtureProposal,
    ascend,
    elementwise_iou,
    rect_to_rel,
    rel_to_rect,
)
from ltr.actors.base import Actor
from ltr.actors.density_loss import BoxLossSettings, EnergyLoss, box_density_loss, running_statistics
from ltr.actors.held_out_refinement import ITERATIONS, mean_of_best, random_starts
from ltr.common.settings import renamed_field
from ltr.models.backbone.frozen import FrozenBackbone
from ltr.models.bbreg import AtomNet, BoxFeatures

BoxLoss = Literal[EnergyLoss, "iou"]

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
    """nce_plus: noise on the label, relative to the mixture's own (BMVC 2020, its detector)."""
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
        loss: 'iou', or one of `density_loss.py`. Those train a density p(y | x) and have the same statistics; their
            validations can be compared by `nll`, the negative log-likelihood of the exact labels.
        refinement: of boxes in validation.
        constants: of the losses of a density other than 'nll'.

    Raises:
        ValueError: if settings are out of range, or do not fit each other.
    """

    def __init__(
        self,
        net: AtomNet,
        proposals: BBRegProposalSettings,
        loss: BoxLoss,
        refinement: BBRegRefinementSettings,
        constants: BoxLossSettings | None = None,
    ):
        super().__init__()
        if loss != "iou" and proposals.kind != "mixture":
            raise ValueError(f"{loss} needs the density of its candidates: proposals.kind must be 'mixture'")
        self.net = net
        self.proposals = proposals
        self.loss = loss
        self.refinement = refinement
        self.mixture = GaussianMixtureProposal([(p, p, s, s) for p, s in proposals.sigmas])
        self.density_loss = None
        if loss != "iou":
            settings = constants or BoxLossSettings()
            self.density_loss = box_density_loss(loss, self.mixture, proposals.num_samples, proposals.beta, settings)
        self._backbone = FrozenBackbone(net.feature_extractor)

    def trainable_parameters(self) -> list[nn.Parameter]:
        return list(self.net.bb_regressor.parameters())

    def checkpoint_model(self) -> nn.Module:
        return self.net

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss (scalar) and statistics of a batch of :class:`ltr.data.sampling.BoxPairs`, or of cached features."""
        box = batch["test_box"]
        stats: dict[str, Tensor] = {}
        head = self.net.bb_regressor
        if self.density_loss is None:
            # Candidates first: their checks wait for the GPU, so they come before the long queue of the networks' work.
            y = self._candidates(box)
            features = self.encode(batch, size=box[:, 2:])
            f = head.energy(features, y).float()
            iou = elementwise_iou(rel_to_rect(y, box[:, None, 2:]), box[:, None])
            loss = nn.functional.mse_loss(f, 2 * iou - 1)
            stats["iou_error"] = (0.5 * (f.detach() - (2 * iou - 1))).abs().mean()
        else:
            features = self.encode(batch, size=box[:, 2:])

            def energy(y: Tensor) -> Tensor:
                return head.energy(features, y).float()

            def climbed(y: Tensor) -> Tensor:
                with running_statistics(head):
                    return energy(y)

            # The statistics also keep the running statistics of a head that is trained by `climbed` alone.
            loss, stats = self.density_loss(energy, rect_to_rel(box, box[:, 2:]), climbed)
            if not self.training:
                stats["nll"] = stats["log_z"] - stats["f_label"]
        if not self.training:
            stats["start_iou"], stats["refined_iou"] = self._refined_iou(features, box)
        return loss, {"loss": loss.detach(), **stats}

    def _candidates(self, box: Tensor) -> Tensor:
        """Boxes (B, M, 4) around labels (B, 4) in pixels, relative to their sizes."""
        p = self.proposals
        if p.kind == "mixture":
            return self.mixture.sample(rect_to_rel(box, box[:, 2:]), p.num_samples)
        return rect_to_rel(perturb_boxes(box, p.num_samples, p.perturbation_sigmas, p.min_iou), box[:, None, 2:])

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
