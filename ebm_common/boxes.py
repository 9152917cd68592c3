"""Box formats, the relative parametrisation, and the overlap of boxes.

A *rect* is (x, y, w, h): top-left corner and size, in pixels. Coordinates are continuous, and a box of w = 1 is one
pixel wide. A *rel* is (c_x / w_0, c_y / h_0, log w, log h), where (c_x, c_y) is the centre and (w_0, h_0) a normaliser
in pixels. In this space the paper draws its proposals and climbs its energy (Section 4.1). All functions are pure,
broadcast over leading dimensions, and are differentiable.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["elementwise_iou", "rect_to_rel", "rel_to_rect", "xywh_to_xyxy", "xyxy_to_xywh"]


def xywh_to_xyxy(boxes: Tensor) -> Tensor:
    """Convert (..., 4) boxes (x, y, w, h) to (..., 4) corners (x, y, x + w, y + h)."""
    top_left, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([top_left, top_left + size], dim=-1)


def xyxy_to_xywh(boxes: Tensor) -> Tensor:
    """Convert (..., 4) corners (x1, y1, x2, y2) to (..., 4) boxes (x1, y1, x2 - x1, y2 - y1)."""
    top_left, bottom_right = boxes[..., :2], boxes[..., 2:]
    return torch.cat([top_left, bottom_right - top_left], dim=-1)


def rect_to_rel(boxes: Tensor, size: Tensor | None = None) -> Tensor:
    """Convert boxes in pixels to the relative parametrisation (Section 4.1).

    The caller chooses the normaliser, and must use the same one on the way back. Training takes the size of the label,
    the tracker the size of the first box for all candidates of a frame, and detection each box's own size at the start
    of the refinement.

    Args:
        boxes: (..., 4), (x, y, w, h) in pixels.
        size: normaliser (w_0, h_0) in pixels, (..., 2), broadcast against `boxes`; None for each box's own size.

    Returns:
        (..., 4), ((x + w/2) / w_0, (y + h/2) / h_0, log w, log h). Only boxes with w, h > 0 exist in this space: a
        size of zero gives -inf and a negative size NaN. Sizes are not clamped, so that no such box is mistaken for a
        tiny one. Drop or correct them first.

    Examples:
        >>> box = torch.tensor([20.0, 30.0, 40.0, 80.0])  # its centre is (40, 70)
        >>> rel = rect_to_rel(box)
        >>> rel  # 40 / 40, 70 / 80, log 40, log 80
        tensor([1.0000, 0.8750, 3.6889, 4.3820])
        >>> rel_to_rect(rel, box[2:]).round(decimals=3)
        tensor([20., 30., 40., 80.])
    """
    wh = boxes[..., 2:]
    centre = boxes[..., :2] + 0.5 * wh
    rel_centre = centre / (wh if size is None else size)
    log_size = wh.log().expand(rel_centre.shape)
    return torch.cat([rel_centre, log_size], dim=-1)


def rel_to_rect(rel: Tensor, size: Tensor) -> Tensor:
    """Convert relative boxes to pixels: the inverse of `rect_to_rel` for the same normaliser.

    Args:
        rel: (..., 4), (c_x / w_0, c_y / h_0, log w, log h).
        size: normaliser (w_0, h_0) in pixels, (..., 2), broadcast against `rel`.

    Returns:
        (..., 4), (x, y, w, h) in pixels. w and h are positive for every `rel`, unless exp under- or overflows.
    """
    centre = rel[..., :2] * size
    wh = rel[..., 2:].exp().expand(centre.shape)
    return torch.cat([centre - 0.5 * wh, wh], dim=-1)


def elementwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of (x, y, w, h) boxes, each `a` with its own `b`.

    `torchvision.ops.box_iou` is another function: it takes corners (x1, y1, x2, y2) and returns all pairs. Here, all
    pairs of (N, 4) and (K, 4) boxes are ``elementwise_iou(a[:, None], b[None])``.

    Args:
        a, b: (..., 4), (x, y, w, h) in pixels, broadcast against each other.

    Returns:
        (...) in [0, 1]: exactly 1 for equal boxes, 0 where a box is empty or has a negative size (also for two equal
        empty boxes). NaN in a box gives NaN.

    Examples:
        >>> a = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 10.0]])
        >>> b = torch.tensor([[5.0, 0.0, 10.0, 10.0], [20.0, 0.0, 10.0, 10.0]])
        >>> elementwise_iou(a, b)  # 50 of 150 square pixels; apart
        tensor([0.3333, 0.0000])
    """
    a, b = xywh_to_xyxy(a), xywh_to_xyxy(b)
    inter = _area(torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:]))
    # The areas come from the corners, as the intersection does, and not from w * h. Rounding then cancels, and no IoU
    # exceeds 1.
    union = _area(a[..., :2], a[..., 2:]) + _area(b[..., :2], b[..., 2:]) - inter
    # For two empty boxes 0 / 1, so that no 0 / 0 reaches the gradient. A NaN is in `inter` already.
    return inter / torch.where(union > 0, union, torch.ones_like(union))


def _area(top_left: Tensor, bottom_right: Tensor) -> Tensor:
    """Area (...) between two corners (..., 2), zero where they are in the wrong order."""
    return (bottom_right - top_left).clamp(min=0).prod(dim=-1)
