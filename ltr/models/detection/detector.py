"""A detector of one of ten systems: images in, torchvision's list of boxes, labels and scores out (Appendix C.4).

All systems share a Faster-RCNN. `direct` is that Faster-RCNN; the density systems replace its box regression by the
mean of a density; `iou_net`, `iou_net_star` and `ebm` score its boxes with a confidence branch, which guides the
non-maximum suppression and then refines the remaining boxes by gradient ascent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image

from ltr.models.backbone.frozen import OptimizedCopy, exact_on_cpu
from ltr.models.detection.confidence import ConfidenceBranch, Objects, Pyramid
from ltr.models.detection.faster_rcnn import build_faster_rcnn, full_precision
from ltr.models.detection.offset_densities import OffsetDensity, build_offset_density
from ltr.models.detection.refinement import MIN_SIDE, refine_boxes
from ltr.models.detection.settings import CONFIDENCE_SYSTEMS, DetectorSettings
from ltr.ops import iou_guided_nms

_SCORED_AT_ONCE = 1024  # boxes, before suppression: about 50 MB of pooled features


class Encoded(NamedTuple):
    """Encoded images.

    Attributes:
        features: maps of the feature pyramid by name.
        proposals: of the region proposal network, corners (R, 4) of each image.
        sizes: (height, width) of each scaled image.
    """

    features: dict[str, Tensor]
    proposals: list[Tensor]
    sizes: list[tuple[int, int]]


class Detector(nn.Module):
    """A detector with random weights.

    Feat-Conf starts from Feat-Box once :meth:`start_branch` is called. To read a trained detector from a file, call
    :func:`ltr.models.detection.load_detector`.

    Attributes:
        base: torchvision's `FasterRCNN`.
        branch: the system's addition to it: None, an `OffsetDensity` or a `ConfidenceBranch`.
        refinement: settings of the refinement; callers may change them.

    Raises:
        UserError: if a setting is out of range.
    """

    def __init__(self, settings: DetectorSettings) -> None:
        super().__init__()
        self.system, self.refinement = settings.system, replace(settings.refinement)
        self.refinement.check()
        self.num_classes = settings.base.num_classes
        self.base = build_faster_rcnn(settings.base)
        heads = self.base.roi_heads
        channels = heads.box_predictor.cls_score.in_features
        self.branch: OffsetDensity | ConfidenceBranch | None
        if self.refines:
            self.branch = ConfidenceBranch(heads.box_head, channels, self.num_classes)
        elif self.system == "direct":
            self.branch = None
        else:
            self.branch = build_offset_density(self.system, channels, self.num_classes)
        # ResNet's frozen batch norms cannot be folded; ResNet detectors return exactly torchvision's results
        lite = settings.base.name == "efficientnet_lite0_fpn"
        self._fast_backbone = OptimizedCopy(self.base.backbone) if lite else None

    @property
    def refines(self) -> bool:
        """Whether the system has a confidence branch."""
        return self.system in CONFIDENCE_SYSTEMS

    @property
    def max_detections(self) -> int:
        """Most detections of an image, 100 by default. More than that also raises the number of proposals."""
        return self.base.roi_heads.detections_per_img

    @max_detections.setter
    def max_detections(self, number: int) -> None:
        rpn = self.base.rpn
        for limits in (rpn._pre_nms_top_n, rpn._post_nms_top_n):  # torchvision has no public name for them
            limits["testing"] = math.ceil(limits["testing"] * max(1.0, number / self.max_detections))
        self.base.roi_heads.detections_per_img = number

    def start_branch(self) -> None:
        """Copies the weights of the base's Feat-Box, which have been loaded, to Feat-Conf (C.2)."""
        if isinstance(self.branch, ConfidenceBranch):
            self.branch.start_from(self.base.roi_heads.box_head)

    def _confidence_branch(self) -> ConfidenceBranch:
        if not isinstance(self.branch, ConfidenceBranch):
            raise ValueError(f"system {self.system} has no confidence branch")
        return self.branch

    def forward(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Detections of each image; see :meth:`detect`."""
        return self.detect(images)

    @torch.inference_mode(False)  # the refinement needs gradients of what is computed here
    @torch.no_grad()
    def detect(self, images: Sequence[Tensor], refine: bool = True) -> list[dict[str, Tensor]]:
        """Detects objects in images.

        Args:
            images: RGB (3, H, W) or grey (1, H, W), float in [0, 1] or uint8, of any sizes.
            refine: False skips the refinement of systems that have one.

        Returns:
            A dictionary for each image, as torchvision's detectors return it: "boxes" (n, 4), corners in pixels of the
            original image, inside it and with an area; "labels" (n,) int64; "scores" (n,), descending.

        Raises:
            ValueError: if an image has another shape, no pixel, values that are not finite, or is so narrow that
                scaling leaves no pixel; or if the module is in training mode.
        """
        if self.training:
            raise ValueError("the detector is in training mode: call detector.eval() first")
        device = next(self.parameters()).device
        images = [self._checked(i, image, device) for i, image in enumerate(images)]
        if not images:
            return []
        encoded = self.encode(images)
        with torch.autocast(device.type, enabled=False):
            if self.refines:
                found, pyramid = self.suppressed(encoded), self.pyramid(encoded.features, encoded.sizes)
                if refine:
                    self._refine_all(pyramid, found)
            else:
                found = self._by_offsets(encoded)
        shapes = [tuple(image.shape[-2:]) for image in images]
        found = self.base.transform.postprocess(found, encoded.sizes, shapes)
        if self.refines:  # scaling back rounds boxes beyond borders; Faster-RCNN leaves them so
            for result, shape in zip(found, shapes, strict=True):
                result["boxes"] = clip_boxes_to_image(result["boxes"], shape)
        return found

    @torch.no_grad()
    def encode(self, images: list[Tensor]) -> Encoded:
        """Features and proposals of float images on the detector's device, without an autograd graph."""
        batch, _ = self.base.transform(images)
        features = self.features(batch.tensors)
        with torch.autocast(batch.tensors.device.type, enabled=False):
            proposals, _ = self.base.rpn(batch, features)
        return Encoded(features, proposals, batch.image_sizes)

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """The feature pyramid of a batch from the base's `transform`, without a graph; see `full_precision`."""
        with torch.no_grad():
            if self._fast_backbone is None:
                return full_precision(self.base.backbone(images))
            with exact_on_cpu(images.device):
                return full_precision(self._fast_backbone()(images.contiguous(memory_format=torch.channels_last)))

    def pyramid(self, features: dict[str, Tensor], sizes: Sequence[tuple[int, int]]) -> Pyramid:
        """The feature maps from which the confidence branch pools."""
        pool = self.base.roi_heads.box_roi_pool
        return Pyramid(features, pool.featmap_names, sizes, pool.output_size[0])

    # --- inference

    def _box_features(self, encoded: Encoded) -> Tensor:
        heads = self.base.roi_heads
        return heads.box_head(heads.box_roi_pool(encoded.features, encoded.proposals, encoded.sizes))

    def _by_offsets(self, encoded: Encoded) -> list[dict[str, Tensor]]:
        """Detections as by Faster-RCNN; density systems replace its regression by their mean."""
        heads = self.base.roi_heads
        hidden = self._box_features(encoded)
        logits, offsets = heads.box_predictor(hidden)
        if isinstance(self.branch, OffsetDensity):
            offsets = self.branch.mean(hidden)
        found = heads.postprocess_detections(logits, offsets, encoded.proposals, encoded.sizes)
        return [{"boxes": b, "labels": k, "scores": s} for b, s, k in zip(*found, strict=True)]

    @torch.no_grad()
    def suppressed(self, encoded: Encoded) -> list[dict[str, Tensor]]:
        """Faster-RCNN's boxes in pixels of the scaled images, after suppression guided by f, before refinement."""
        heads = self.base.roi_heads
        logits, offsets = heads.box_predictor(self._box_features(encoded))
        counts = [len(p) for p in encoded.proposals]
        decoded = heads.box_coder.decode(offsets, encoded.proposals).split(counts)
        pyramid = self.pyramid(encoded.features, encoded.sizes)
        found = []
        for i, (boxes, scores) in enumerate(zip(decoded, logits.softmax(-1).split(counts), strict=True)):
            boxes = clip_boxes_to_image(boxes[:, 1:].reshape(-1, 4), encoded.sizes[i])
            labels = torch.arange(1, self.num_classes, device=boxes.device).expand(len(scores), -1).reshape(-1)
            scores = scores[:, 1:].reshape(-1)
            keep = (scores > heads.score_thresh) & (boxes[:, 2:] - boxes[:, :2] >= MIN_SIDE).all(1)
            boxes, labels, scores = boxes[keep], labels[keep], scores[keep]
            guide = self._confidence(pyramid, i, labels, boxes)
            keep, scores = iou_guided_nms(boxes, guide, scores, labels, heads.nms_thresh)
            keep, scores = keep[: heads.detections_per_img], scores[: heads.detections_per_img]
            found.append({"boxes": boxes[keep], "labels": labels[keep], "scores": scores})
        return found

    def _refine_all(self, pyramid: Pyramid, found: list[dict[str, Tensor]]) -> None:
        """Refines the boxes of all images together, in place."""
        image = torch.cat([torch.full_like(f["labels"], i) for i, f in enumerate(found)])
        boxes, labels = (torch.cat([f[key] for f in found]) for key in ("boxes", "labels"))
        refined, _ = self.refine(pyramid, image, labels, boxes)
        for f, part in zip(found, refined.split([len(f["boxes"]) for f in found]), strict=True):
            f["boxes"] = part

    def _confidence(self, pyramid: Pyramid, image: int, labels: Tensor, boxes: Tensor) -> Tensor:
        """f (K,) of corners (K, 4) in one image."""
        parts = [boxes.new_zeros(0)]
        for label, part in zip(labels.split(_SCORED_AT_ONCE), boxes.split(_SCORED_AT_ONCE), strict=True):
            objects = Objects(pyramid, torch.full_like(label, image), label, part[:, 2:] - part[:, :2])
            parts.append(self._confidence_branch().score(objects, part[:, None])[:, 0])
        return torch.cat(parts)

    @torch.no_grad()
    def refine(
        self, pyramid: Pyramid, image: Tensor, labels: Tensor, boxes: Tensor, steps: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Refines boxes by `self.refinement`; see :func:`~ltr.models.detection.refinement.refine_boxes`."""
        score, in_pixels = self._confidence_branch().score, self.system == "iou_net"
        return refine_boxes(score, pyramid, image, labels, boxes, self.refinement, in_pixels, steps)

    def _checked(self, index: int, image: Tensor, device: torch.device) -> Tensor:
        if not isinstance(image, Tensor):
            raise ValueError(f"image {index} is of {type(image).__name__}; a tensor is needed")
        if image.dim() != 3 or image.shape[0] not in (1, 3) or not image.numel():
            raise ValueError(f"image {index} has shape {tuple(image.shape)}; (3, H, W) or (1, H, W) is needed")
        image = image.to(device)
        image = image.expand(3, -1, -1)
        if not image.is_floating_point() and image.dtype != torch.uint8:
            raise ValueError(f"image {index} is of {image.dtype}; float in [0, 1] or uint8 is needed")
        image = image.float() / 255 if image.dtype == torch.uint8 else image.float()
        if not torch.isfinite(image).all():
            raise ValueError(f"image {index} has values that are not finite")
        transform, (short, long) = self.base.transform, sorted(image.shape[1:])
        scale = min(transform.min_size[-1] / short, transform.max_size / long)
        if short * scale < 1:
            raise ValueError(
                f"image {index} of {image.shape[2]} x {image.shape[1]} pixels is too narrow: scaled to a length of "
                f"{transform.max_size} it has no width"
            )
        return image
