"""A detector of one of ten systems: images in, torchvision's list of boxes, labels and scores out (Appendix C.4).

    detector = load_detector("workspace/checkpoints/ltr/detection/ebm/ebm_final.safetensors")
    detections = detector(images)

All share a Faster-RCNN. `direct` is it; the density systems put the mean of a density in the place of its box
regression; `iou_net`, `iou_net_star` and `ebm` score its boxes with a confidence branch, which guides the non-maximum
suppression and is climbed by what remains.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image

from ebm_common import ascend_backtracking, rect_to_rel, rel_to_rect, xywh_to_xyxy, xyxy_to_xywh
from ltr.common.errors import UserError
from ltr.models.backbone.frozen import OptimizedCopy, exact_on_cpu
from ltr.models.detection.box_densities import BoxDensity, build_box_density
from ltr.models.detection.confidence import ConfidenceBranch, Objects, Pyramid
from ltr.models.detection.faster_rcnn import BaseSettings, build_faster_rcnn, full_precision
from ltr.models.weights_file import is_state_dict, misfit, read_pickle, read_safetensors
from ltr.ops import iou_guided_nms

System = Literal[
    "direct", "gaussian", "mixture2", "mixture4", "mixture8", "cvae", "laplace", "iou_net", "iou_net_star", "ebm"
]
SYSTEMS: tuple[System, ...] = get_args(System)
CONFIDENCE_SYSTEMS = ("iou_net", "iou_net_star", "ebm")
_CLASSES = "roi_heads.box_predictor.cls_score.bias"  # in torchvision's state dicts
_MIN_SIDE = 1e-2  # pixels: torchvision's detectors drop smaller boxes
_SCORED_AT_ONCE = 1024  # boxes, before suppression: some 50 MB of pooled features each


@dataclass
class RefinementSettings:
    """Algorithm S1 with the constants of Appendix C.4; the defaults are the paper's model's."""

    step: tuple[float, float] = (1e-4, 4e-4)
    """lambda for position and size. `iou_net` climbs in pixels, in steps relative to the box's sides."""
    decay: float = 0.5
    """eta"""
    iterations: int = 10
    """T"""


REFINEMENT = {
    "iou_net": RefinementSettings((0.5, 0.5), 0.1),
    "iou_net_star": RefinementSettings((0.002, 0.008), 0.2),
    "ebm": RefinementSettings(),
}


@dataclass
class DetectorSettings:
    """What a detector is."""

    system: System = "ebm"
    base: BaseSettings = field(default_factory=BaseSettings)
    refinement: RefinementSettings = field(default_factory=RefinementSettings)
    """Of systems with a confidence branch."""


def _check(refinement: RefinementSettings) -> None:
    if not all(0 <= step < math.inf for step in refinement.step):
        raise UserError(f"refinement.step must not be negative and finite, got {refinement.step}")
    if not 0 < refinement.decay <= 1:
        raise UserError(f"refinement.decay must be in (0, 1], got {refinement.decay}")
    if refinement.iterations < 0:
        raise UserError(f"refinement.iterations must not be negative, got {refinement.iterations}")


class Encoded(NamedTuple):
    """Images as the detector sees them.

    Attributes:
        features: maps of the feature pyramid by name.
        proposals: of the region proposal network, corners (R, 4) of each image.
        sizes: (height, width) of each image as it was scaled.
    """

    features: dict[str, Tensor]
    proposals: list[Tensor]
    sizes: list[tuple[int, int]]


class Detector(nn.Module):
    """See the module. Weights are random, and Feat-Conf starts from Feat-Box only by :meth:`start_branch`.

    Attributes:
        base: torchvision's `FasterRCNN`.
        branch: what the system adds to it: None, a `BoxDensity` or a `ConfidenceBranch`.
        refinement: how boxes are refined; may be changed.

    Raises:
        UserError: settings that are not possible.
    """

    def __init__(self, settings: DetectorSettings) -> None:
        super().__init__()
        self.system, self.refinement = settings.system, replace(settings.refinement)
        _check(self.refinement)
        self.num_classes = settings.base.num_classes
        self.base = build_faster_rcnn(settings.base)
        heads = self.base.roi_heads
        channels = heads.box_predictor.cls_score.in_features
        self.branch: nn.Module | None
        if self.refines:
            self.branch = ConfidenceBranch(heads.box_head, channels, self.num_classes)
        elif self.system == "direct":
            self.branch = None
        else:
            self.branch = build_box_density(self.system, channels, self.num_classes)
        # ResNet's frozen batch norms cannot be folded, and with it results shall be torchvision's to the bit
        lite = settings.base.name == "efficientnet_lite0_fpn"
        self._fast_backbone = OptimizedCopy(self.base.backbone) if lite else None

    @property
    def refines(self) -> bool:
        """Whether the system has a confidence branch."""
        return self.system in CONFIDENCE_SYSTEMS

    def start_branch(self) -> None:
        """Start Feat-Conf from the Feat-Box of the base, whose weights have been loaded (C.2)."""
        if isinstance(self.branch, ConfidenceBranch):
            self.branch.start_from(self.base.roi_heads.box_head)

    def forward(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Detections of each image; see :meth:`detect`."""
        return self.detect(images)

    @torch.inference_mode(False)  # the climb needs gradients of what is computed here
    @torch.no_grad()
    def detect(self, images: Sequence[Tensor], refine: bool = True) -> list[dict[str, Tensor]]:
        """What is in the images.

        Args:
            images: RGB (3, H, W) or grey (1, H, W), float in [0, 1] or uint8, of any sizes.
            refine: False leaves the climb out, of systems that have one.

        Returns:
            For each image a dictionary as torchvision's detectors have it: "boxes" (n, 4), corners in pixels of the
            image that was given, inside it and with an area; "labels" (n,) int64; "scores" (n,), descending.

        Raises:
            ValueError: an image of another shape, without a pixel, so narrow that it would have none when scaled, or
                with values that are not finite; or the module is in training mode.
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
        if self.refines:  # Faster-RCNN leaves borders as scaling back rounds them
            for result, shape in zip(found, shapes, strict=True):
                result["boxes"] = clip_boxes_to_image(result["boxes"], shape)
        return found

    @torch.no_grad()
    def encode(self, images: list[Tensor]) -> Encoded:
        """Features and proposals of float images on the detector's device, without a graph."""
        batch, _ = self.base.transform(images)
        features = self.features(batch.tensors)
        with torch.autocast(batch.tensors.device.type, enabled=False):
            proposals, _ = self.base.rpn(batch, features)
        return Encoded(features, proposals, batch.image_sizes)

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """The feature pyramid of a batch that the base's `transform` made, without a graph; see `full_precision`."""
        with torch.no_grad():
            if self._fast_backbone is None:
                return full_precision(self.base.backbone(images))
            with exact_on_cpu(images.device):
                return full_precision(self._fast_backbone()(images.contiguous(memory_format=torch.channels_last)))

    def pyramid(self, features: dict[str, Tensor], sizes: Sequence[tuple[int, int]]) -> Pyramid:
        """What the confidence branch pools from."""
        pool = self.base.roi_heads.box_roi_pool
        return Pyramid(features, pool.featmap_names, sizes, pool.output_size[0])

    # --- inference

    def _box_features(self, encoded: Encoded) -> Tensor:
        heads = self.base.roi_heads
        return heads.box_head(heads.box_roi_pool(encoded.features, encoded.proposals, encoded.sizes))

    def _by_offsets(self, encoded: Encoded) -> list[dict[str, Tensor]]:
        """As Faster-RCNN; density systems have their mean in the place of its regression."""
        heads = self.base.roi_heads
        hidden = self._box_features(encoded)
        logits, offsets = heads.box_predictor(hidden)
        if isinstance(self.branch, BoxDensity):
            offsets = self.branch.mean(hidden)
        found = heads.postprocess_detections(logits, offsets, encoded.proposals, encoded.sizes)
        return [{"boxes": b, "labels": k, "scores": s} for b, s, k in zip(*found, strict=True)]

    @torch.no_grad()
    def suppressed(self, encoded: Encoded) -> list[dict[str, Tensor]]:
        """Faster-RCNN's boxes in pixels of the scaled images, suppressed under the guidance of f, not yet refined."""
        heads = self.base.roi_heads
        logits, offsets = heads.box_predictor(self._box_features(encoded))
        numbers = [len(p) for p in encoded.proposals]
        decoded = heads.box_coder.decode(offsets, encoded.proposals).split(numbers)
        pyramid = self.pyramid(encoded.features, encoded.sizes)
        found = []
        for i, (boxes, scores) in enumerate(zip(decoded, logits.softmax(-1).split(numbers), strict=True)):
            boxes = clip_boxes_to_image(boxes[:, 1:].reshape(-1, 4), encoded.sizes[i])
            labels = torch.arange(1, self.num_classes, device=boxes.device).expand(len(scores), -1).reshape(-1)
            scores = scores[:, 1:].reshape(-1)
            keep = (scores > heads.score_thresh) & (boxes[:, 2:] - boxes[:, :2] >= _MIN_SIDE).all(1)
            boxes, labels, scores = boxes[keep], labels[keep], scores[keep]
            guide = self._confidence(pyramid, i, labels, boxes)
            keep, scores = iou_guided_nms(boxes, guide, scores, labels, heads.nms_thresh)
            keep, scores = keep[: heads.detections_per_img], scores[: heads.detections_per_img]
            found.append({"boxes": boxes[keep], "labels": labels[keep], "scores": scores})
        return found

    def _refine_all(self, pyramid: Pyramid, found: list[dict[str, Tensor]]) -> None:
        """Refine the boxes of all images together, in place."""
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
            parts.append(self.branch.score(objects, part[:, None])[:, 0])
        return torch.cat(parts)

    @torch.no_grad()
    def refine(self, pyramid: Pyramid, image: Tensor, labels: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes climbed by Algorithm S1, all at once: relative to their own sizes, or in pixels for `iou_net` (C.4).

        What is climbed is f of a box's part inside its image; a box without such a part is no step upwards. So results
        are inside, have an area, and no f ends below its start.

        Args:
            pyramid: features of the images.
            image: (K,) int64, each box's image.
            labels: (K,) int64.
            boxes: (K, 4) corners in pixels of the scaled images, inside them and with an area.

        Returns:
            The boxes, (K, 4), and their f, (K,).
        """
        heights_widths = boxes.new_tensor(pyramid.image_sizes).reshape(-1, 2)
        limits = heights_widths[image].flip(1).repeat(1, 2)[:, None]  # (K, 1, 4)
        rects = xyxy_to_xywh(boxes)
        objects = Objects(pyramid, image, labels, rects[:, 2:])
        s = self.refinement
        step = boxes.new_tensor([s.step[0], s.step[0], s.step[1], s.step[1]])

        def inside(corners: Tensor) -> Tensor:
            # unlike clamp and minimum, with the whole gradient on the border itself, where many boxes start
            return torch.where(corners < 0, 0, torch.where(corners > limits, limits, corners))

        def energy(corners: Tensor) -> Tensor:
            part = inside(corners)
            usable = torch.isfinite(corners).all(-1) & (part[..., 2:] - part[..., :2] >= _MIN_SIDE).all(-1)
            part = torch.where(usable[..., None], part, boxes[:, None])
            return torch.where(usable, self.branch.score(objects, part), -torch.inf)

        if self.system == "iou_net":
            sides = (rects[:, [2, 3, 2, 3]])[:, None]
            climbed = ascend_backtracking(energy, boxes[:, None], step * sides, s.iterations, s.decay)
            return inside(climbed.y)[:, 0], climbed.f[:, 0]

        def decoded(y: Tensor) -> Tensor:
            return xywh_to_xyxy(rel_to_rect(y, objects.size[:, None]))

        start = rect_to_rel(rects, objects.size)[:, None]
        rounded = decoded(start)

        def corners_of(y: Tensor) -> Tensor:
            # the start is the box itself, to the bit: it shall not begin beyond a border, or in another level's reach
            return boxes[:, None] + (decoded(y) - rounded)

        climbed = ascend_backtracking(lambda y: energy(corners_of(y)), start, step, s.iterations, s.decay)
        return inside(corners_of(climbed.y))[:, 0], climbed.f[:, 0]

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


def load_detector(path: str | Path, device: str | torch.device = "cpu") -> Detector:
    """A trained detector, in evaluation mode.

    Args:
        path: the final weights of a run (`*_final.safetensors`), its `last.pth` or `best.pth`, or torchvision's own
            state dict of `fasterrcnn_resnet50_fpn`, which is system `direct`.

    Raises:
        UserError: the file is missing, damaged, or no detector's.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        notes, state = read_safetensors(path)
        about = notes.get("settings", "{}")
    else:
        content = read_pickle(path)
        content = content if isinstance(content, dict) else {}
        if _CLASSES in content and isinstance(content[_CLASSES], Tensor):
            about = {"detector": {"system": "direct", "base": {"num_classes": len(content[_CLASSES])}}}
            content = {"model": {f"base.{key}": value for key, value in content.items()}, "settings": about}
        state, about = content.get("model", {}), content.get("settings", {})
    try:
        plain = json.loads(about) if isinstance(about, str) else about
        detector = Detector(_from_plain(DetectorSettings, plain["detector"]))
    except UserError as error:
        raise UserError(f"{path} describes a detector that is not possible: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no detector of this project: it does not say which one it is") from error
    own = detector.state_dict()
    problem = misfit(own, state) if is_state_dict(state) else "it holds no weights"
    if problem is None:
        more = [name for name in state if name not in own and not name.endswith("num_batches_tracked")]
        problem = f"{more[0]} is not a part of that" if more else None
    if problem:
        raise UserError(f"{path} does not fit the detector that it says it is: {problem}")
    detector.load_state_dict(state, strict=False)  # with or without batch norms' counters, which nothing uses
    return detector.to(device).eval().requires_grad_(False)


def _from_plain(kind: type, plain: dict[str, Any]) -> Any:
    nested = {"base": BaseSettings, "refinement": RefinementSettings}
    if not isinstance(plain, dict) or plain.keys() - {f.name for f in fields(kind)}:
        raise ValueError(f"no {kind.__name__}: {plain}")
    values = {key: _from_plain(nested[key], value) if key in nested else value for key, value in plain.items()}
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
