"""One step of training a detector of any of the ten systems (Appendix C.2).

==============  =====================  ================================  ==========================================
system          trained                candidates of a label             loss
==============  =====================  ================================  ==========================================
direct          the whole detector     -                                 Faster-RCNN's four
gaussian, ...   the density's layers   -                                 negative log-likelihood; cvae: ELBO
iou_net         the confidence branch  IoU >= 0.5, uniform in IoU        Huber's, of 2 IoU - 1
iou_net_star    the confidence branch  Gaussian mixture (Eq. 5)          Huber's, of 2 IoU - 1
ebm             the confidence branch  Gaussian mixture (Eq. 5)          negative log-likelihood (Eq. 4)
==============  =====================  ================================  ==========================================

The EBM can also be trained by the other losses of `density_loss.py`, with the constants of the detector of Gustafsson
et al., "How to Train Your Energy-Based Model for Regression" (BMVC 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import clip_boxes_to_image

from ebm_common import (
    GaussianMixtureProposal,
    elementwise_iou,
    rect_to_rel,
    rel_to_rect,
    xywh_to_xyxy,
    xyxy_to_xywh,
)
from ltr.actors.base import Actor
from ltr.actors.density_loss import BoxLossSettings, EnergyLoss, box_density_loss
from ltr.common.settings import renamed_field
from ltr.models.detection import Detector
from ltr.models.detection.confidence import ConfidenceBranch, Objects
from ltr.models.detection.faster_rcnn import full_precision
from ltr.models.detection.offset_densities import OffsetDensity
from ltr.models.detection.proposals import iou_uniform_boxes

_START_SIGMA = 0.075
"""Noise of the boxes that validation refines, relative to the label's size: about the error of a detector."""


@dataclass
class DetectionProposalSettings:
    """Candidate boxes of one label, for the systems with a confidence branch."""

    num_samples: int = renamed_field("number", 128)
    """M (C.2)."""
    sigmas: tuple[float, ...] = (0.0375, 0.075, 0.15)
    """Standard deviations of the mixture's components, relative to the label's size (C.2, Table S1)."""
    sigmas_nce: tuple[float, ...] = (0.075, 0.15, 0.3)
    """Those of the losses nce and nce_plus (BMVC 2020)."""
    beta: float = 0.1
    """nce_plus: noise on the label, relative to the mixture's own (BMVC 2020)."""
    min_iou: float = 0.5
    """iou_net: overlap that a candidate must have (C.2)."""


class DetectionActor(Actor):
    """Trains a detector on batches of :func:`ltr.data.detection_samples.collate_detection`, as in the module's table.

    The parts that are not trained stay in evaluation mode and run without a graph. The loss of a batch without objects
    is 0.

    If the system refines, validation also measures the mean IoU with the label of boxes about as far from it as a
    detector's (`start_iou`), and of the same boxes refined (`refined_iou`).

    Args:
        detector: whose system decides what is trained.
        proposals: the candidate boxes.
        loss: of the system `ebm`, one of `density_loss.py`.
        constants: of the losses other than 'nll'.

    Raises:
        ValueError: if settings are out of range, or another system than `ebm` is given a loss.
    """

    def __init__(
        self,
        detector: Detector,
        proposals: DetectionProposalSettings,
        loss: EnergyLoss = "nll",
        constants: BoxLossSettings | None = None,
    ) -> None:
        super().__init__()
        if proposals.num_samples < 1 or not 0 < proposals.min_iou < 1:
            raise ValueError(
                "proposals.num_samples must be at least 1 and proposals.min_iou between 0 and 1, "
                f"got {proposals.num_samples} and {proposals.min_iou}"
            )
        if loss != "nll" and detector.system != "ebm":
            raise ValueError(f"loss {loss} is one of the system ebm, and the system is {detector.system}")
        self.detector, self.proposals = detector, proposals
        p = proposals
        self.mixture = GaussianMixtureProposal(p.sigmas_nce if loss in ("nce", "nce_plus") else p.sigmas)
        self.density_loss = box_density_loss(loss, self.mixture, p.num_samples, p.beta, constants or BoxLossSettings())

    def trainable_parameters(self) -> list[nn.Parameter]:
        if self.detector.branch is not None:
            return list(self.detector.branch.parameters())
        return [p for p in self.detector.base.parameters() if p.requires_grad]

    def checkpoint_model(self) -> nn.Module:
        return self.detector

    def train(self, mode: bool = True) -> DetectionActor:
        super().train(mode)
        # torchvision's detector computes losses in training mode only, also for validation; its batch norms are frozen
        self.detector.base.train(self.detector.system == "direct")
        if isinstance(self.detector.branch, OffsetDensity):
            self.detector.base.rpn.train(mode)  # which only sets the number of proposals: 2000 in training, then 1000
        return self

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss (scalar) and statistics of a batch."""
        base = self.detector.base
        images = [image.float() / 255 for image in batch["images"]]
        with torch.no_grad():
            scaled, targets = base.transform(images, batch["targets"])
        branch = self.detector.branch
        direct = branch is None
        features = full_precision(base.backbone(scaled.tensors)) if direct else self.detector.features(scaled.tensors)
        with torch.autocast(scaled.tensors.device.type, enabled=False):
            if branch is None:
                loss, stats = self._direct(scaled, features, targets)
            elif isinstance(branch, OffsetDensity):
                loss, stats = self._density(branch, scaled, features, targets)
            else:
                loss, stats = self._confidence(branch, scaled.image_sizes, features, targets)
        return loss, {"loss": loss.detach(), **stats}

    def _direct(self, scaled: Any, features: Any, targets: Any) -> tuple[Tensor, dict[str, Tensor]]:
        base = self.detector.base
        proposals, losses = base.rpn(scaled, features, targets)
        _, of_boxes = base.roi_heads(features, proposals, scaled.image_sizes, targets)
        losses = {**losses, **of_boxes}
        return sum(losses.values()), {name: part.detach() for name, part in losses.items()}

    def _density(
        self, branch: OffsetDensity, scaled: Any, features: Any, targets: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative log-likelihood of the offsets of positive proposals, as a sum over them divided by the number of all
        sampled proposals, like Faster-RCNN's own regression loss."""
        heads = self.detector.base.roi_heads
        with torch.no_grad():
            proposals, _ = self.detector.base.rpn(scaled, features, targets)
            proposals, _, labels, offsets = heads.select_training_samples(proposals, targets)
            hidden = heads.box_head(heads.box_roi_pool(features, proposals, scaled.image_sizes))
        labels, offsets = torch.cat(labels), torch.cat(offsets)
        positive = labels > 0
        nll = branch.loss(hidden[positive], labels[positive], offsets[positive])
        return nll * positive.sum() / max(1, len(positive)), {"nll": nll.detach()}

    def _confidence(
        self, branch: ConfidenceBranch, sizes: Any, features: Any, targets: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        p = self.proposals
        pyramid = self.detector.pyramid(features, sizes)
        label = torch.cat([t["labels"] for t in targets])
        image = torch.cat([torch.full_like(t["labels"], i) for i, t in enumerate(targets)])
        rects = xyxy_to_xywh(torch.cat([t["boxes"] for t in targets]))
        objects = Objects(pyramid, image, label, rects[:, 2:])
        truth = rect_to_rel(rects, objects.size)[:, None]

        stats: dict[str, Tensor] = {}  # NaN for a batch without objects, and averages skip NaN
        if self.detector.system == "ebm":
            loss, stats = self.density_loss(
                lambda y: branch.energy(objects, y), truth[:, 0], statistics=not self.training
            )
            if not self.training:
                stats["nll"] = stats["log_z"] - stats["f_label"]
        else:
            if self.detector.system == "iou_net":
                y = rect_to_rel(iou_uniform_boxes(rects, p.num_samples, p.min_iou), objects.size[:, None])
            else:
                y = self.mixture.sample(truth[:, 0], p.num_samples)
            f = branch.energy(objects, y)
            iou = elementwise_iou(rel_to_rect(y, objects.size[:, None]), rects[:, None])
            loss = F.smooth_l1_loss(f, 2 * iou - 1)
            stats["iou_error"] = (0.5 * (f.detach() - (2 * iou - 1))).abs().mean()
        if not self.training:
            stats |= self._refined_iou(objects, truth, rects)
        if not len(rects):
            loss = 0 * torch.stack([parameter.sum() for parameter in branch.parameters()]).sum()
        return loss, stats

    def _refined_iou(self, objects: Objects, truth: Tensor, rects: Tensor) -> dict[str, Tensor]:
        noisy = xywh_to_xyxy(rel_to_rect(truth[:, 0] + _START_SIGMA * torch.randn_like(truth[:, 0]), objects.size))
        start = torch.empty_like(noisy)
        for i, size in enumerate(objects.pyramid.image_sizes):
            start[objects.image == i] = clip_boxes_to_image(noisy[objects.image == i], size)
        refined, _ = self.detector.refine(objects.pyramid, objects.image, objects.label, start)
        return {
            "start_iou": elementwise_iou(xyxy_to_xywh(start), rects).mean(),
            "refined_iou": elementwise_iou(xyxy_to_xywh(refined), rects).mean(),
        }
