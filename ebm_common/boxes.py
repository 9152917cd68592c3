"""Box formats, the relative parametrisation and the overlap of boxes.

A *rect* is (x, y, w, h) with (x, y) the top-left corner, in pixels, continuous (a box of w = 1 is one pixel wide).
A *rel* is (c_x / w_0, c_y / h_0, log w, log h) with a normaliser (w_0, h_0) in pixels, the space in which the paper
draws its proposals and climbs its energy (Section 4.1). All functions are pure, broadcast over leading dimensions and
are differentiable.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["elementwise_iou", "rect_to_rel", "rel_to_rect", "xywh_to_xyxy", "xyxy_to_xywh"]


def xywh_to_xyxy(boxes: Tensor) -> Tensor:
    """(..., 4) boxes (x, y, w, h) -> (..., 4) corners (x, y, x + w, y + h)."""
    top_left, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([top_left, top_left + size], dim=-1)


def xyxy_to_xywh(boxes: Tensor) -> Tensor:
    """(..., 4) corners (x1, y1, x2, y2) -> (..., 4) boxes (x1, y1, x2 - x1, y2 - y1)."""
    top_left, bottom_right = boxes[..., :2], boxes[..., 2:]
    return torch.cat([top_left, bottom_right - top_left], dim=-1)


def rect_to_rel(boxes: Tensor, size: Tensor | None = None) -> Tensor:
    """Boxes in pixels to the relative parametrisation (Section 4.1).

    Which normaliser to use is the caller's choice, and it must be the same one on the way back: the size of the label
    in training, the size of the first box for all candidates of a frame in the tracker, each box's own size at the
    start of the refinement in detection.

    Args:
        boxes: (..., 4), (x, y, w, h) in pixels.
        size: normaliser (w_0, h_0) in pixels, (..., 2), broadcast against `boxes`; None for each box's own size.

    Returns:
        (..., 4), ((x + w/2) / w_0, (y + h/2) / h_0, log w, log h). Only boxes with w, h > 0 have a place in this
        space: a size of zero gives log -inf and a negative one NaN. They are not clamped, so that such a box is
        never mistaken for a tiny one; drop or mend it first.
    """
    wh = boxes[..., 2:]
    centre = boxes[..., :2] + 0.5 * wh
    rel_centre = centre / (wh if size is None else size)
    log_size = wh.log().expand(rel_centre.shape)
    return torch.cat([rel_centre, log_size], dim=-1)


def rel_to_rect(rel: Tensor, size: Tensor) -> Tensor:
    """Inverse of `rect_to_rel` for the same normaliser.

    Args:
        rel: (..., 4), (c_x / w_0, c_y / h_0, log w, log h).
        size: normaliser (w_0, h_0) in pixels, (..., 2), broadcast against `rel`.

    Returns:
        (..., 4), (x, y, w, h) in pixels; w and h are positive, whatever `rel` is (unless exp under- or overflows).
    """
    centre = rel[..., :2] * size
    wh = rel[..., 2:].exp().expand(centre.shape)
    return torch.cat([centre - 0.5 * wh, wh], dim=-1)


def elementwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of (x, y, w, h) boxes, each `a` with its own `b`.

    (`torchvision.ops.box_iou` is another function: all pairs, of corners (x1, y1, x2, y2).)

    Args:
        a, b: (..., 4), broadcast against each other; all pairs of (N, 4) and (M, 4) are
            ``elementwise_iou(a[:, None], b[None])``.

    Returns:
        (...) in [0, 1]: exactly 1 for equal boxes, 0 wherever a box is empty or has a negative size (also for two
        equal empty boxes). NaN in a box gives NaN.
    """
    a, b = xywh_to_xyxy(a), xywh_to_xyxy(b)
    inter = _area(torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:]))
    # Areas come from the same corners as the intersection, not from w * h: rounding then cancels, and no IoU exceeds 1.
    union = _area(a[..., :2], a[..., 2:]) + _area(b[..., :2], b[..., 2:]) - inter
    # Two empty boxes: 0 / 1, so that no 0 / 0 reaches the gradient. A NaN is in `inter` already.
    return inter / torch.where(union > 0, union, torch.ones_like(union))


def _area(top_left: Tensor, bottom_right: Tensor) -> Tensor:
    """(..., 2), (..., 2) -> (...), zero where the corners are in the wrong order."""
    return (bottom_right - top_left).clamp(min=0).prod(dim=-1)
