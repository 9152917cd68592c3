"""Refinement of detected boxes: gradient ascent on the confidence branch by Algorithm S1 (Appendix C.4)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ebm_common import ascend_backtracking, rect_to_rel, rel_to_rect, xywh_to_xyxy, xyxy_to_xywh
from ltr.models.detection.confidence import Objects, Pyramid
from ltr.models.detection.settings import DetectionRefinementSettings

MIN_SIDE = 1e-2
"""Pixels. Smaller boxes do not count; torchvision's detectors drop them too."""


@torch.no_grad()
def refine_boxes(
    score: Callable[[Objects, Tensor], Tensor],
    pyramid: Pyramid,
    image: Tensor,
    labels: Tensor,
    boxes: Tensor,
    settings: DetectionRefinementSettings,
    in_pixels: bool,
    steps: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Refines all boxes at once by Algorithm S1.

    The objective is f of a box's part inside its image; a box without such a part is never a step upwards. So refined
    boxes lie inside, have an area, and have at least the f of their start.

    Args:
        score: f of objects and corners, see :meth:`~ltr.models.detection.confidence.ConfidenceBranch.score`.
        pyramid: features of the images.
        image: (K,) int64, each box's image.
        labels: (K,) int64.
        boxes: (K, 4) corners in pixels of the scaled images, inside them and with an area.
        settings: of Algorithm S1.
        in_pixels: whether boxes are climbed as corners in pixels (IoU-Net) or relative to their own sizes (C.4).
        steps: (K, 2) step-lengths of each box for position and size, in place of the settings' own.

    Returns:
        The boxes, (K, 4), and their f, (K,).
    """
    heights_widths = boxes.new_tensor(pyramid.image_sizes).reshape(-1, 2)
    limits = heights_widths[image].flip(1).repeat(1, 2)[:, None]  # (K, 1, 4)
    rects = xyxy_to_xywh(boxes)
    objects = Objects(pyramid, image, labels, rects[:, 2:])
    s = settings
    steps = boxes.new_tensor([s.step]) if steps is None else steps
    step = steps[:, None, [0, 0, 1, 1]]  # (K or 1, 1, 4)

    def inside(corners: Tensor) -> Tensor:
        # unlike clamp and minimum, this passes the whole gradient on the border itself, where many boxes start
        return torch.where(corners < 0, 0, torch.where(corners > limits, limits, corners))

    def energy(corners: Tensor) -> Tensor:
        part = inside(corners)
        usable = torch.isfinite(corners).all(-1) & (part[..., 2:] - part[..., :2] >= MIN_SIDE).all(-1)
        part = torch.where(usable[..., None], part, boxes[:, None])
        return torch.where(usable, score(objects, part), -torch.inf)

    if in_pixels:
        sides = (rects[:, [2, 3, 2, 3]])[:, None]
        climbed = ascend_backtracking(energy, boxes[:, None], step * sides, s.iterations, s.decay)
        return inside(climbed.y)[:, 0], climbed.f[:, 0]

    def decoded(y: Tensor) -> Tensor:
        return xywh_to_xyxy(rel_to_rect(y, objects.size[:, None]))

    start = rect_to_rel(rects, objects.size)[:, None]
    rounded = decoded(start)

    def corners_of(y: Tensor) -> Tensor:
        # exactly the box itself at the start: rounding must not put it beyond a border, or on another pyramid level
        return boxes[:, None] + (decoded(y) - rounded)

    climbed = ascend_backtracking(lambda y: energy(corners_of(y)), start, step, s.iterations, s.decay)
    return inside(corners_of(climbed.y))[:, 0], climbed.f[:, 0]
