"""IoU-guided non-maximum suppression; in the paper, f(x, y) guides it (Appendix C.4).

It is Algorithm 1 of Jiang et al., "Acquisition of Localization Confidence for Accurate Object Detection", 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ebm_common import elementwise_iou, xyxy_to_xywh

_FRONT = 16  # boxes of each class that are decided in one round


@torch.no_grad()
def iou_guided_nms(
    boxes: Tensor, guide: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float
) -> tuple[Tensor, Tensor]:
    """Keeps the best localised box of each group of overlapping boxes of a class, with the group's highest score.

    The box of a class with the highest guide is kept. All others of the class whose IoU with it exceeds the threshold
    are removed and form its group. The same follows for the remaining boxes. Of equal guides the lower index comes
    first. The result is the same on every device.

    Args:
        boxes: (N, 4), corners (x1, y1, x2, y2) in pixels. An empty box overlaps nothing.
        guide: (N,), the quality of each box's localisation, higher for better: a predicted IoU, or f.
        scores: (N,), the probability of the box's class.
        labels: (N,) integers, the class of each box.
        iou_threshold: in [0, 1].

    Returns:
        The indices of the K kept boxes, (K,) int64, and the new scores, (K,) in the dtype of `scores`. They are in
        descending order of score; equal scores are ordered by guide, then by index.

    Raises:
        ValueError: if the shapes do not fit, boxes, guide or scores contain NaN, or a threshold is outside [0, 1].

    Example:
        >>> boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]])
        >>> one_class = torch.ones(3, dtype=torch.int64)
        >>> iou_guided_nms(boxes, torch.tensor([0.6, 0.8, 0.5]), torch.tensor([0.9, 0.3, 0.4]), one_class, 0.5)
        (tensor([1, 2]), tensor([0.9000, 0.4000]))
    """
    shapes = [tuple(tensor.shape) for tensor in (boxes, guide, scores, labels)]
    if boxes.ndim != 2 or shapes != [(len(boxes), 4)] + 3 * [(len(boxes),)]:
        raise ValueError(f"boxes, guide, scores and labels must be (N, 4) and three times (N,), got {shapes}")
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f"iou_threshold must be in [0, 1], got {iou_threshold}")
    for name, tensor in (("boxes", boxes), ("guide", guide), ("scores", scores)):
        if tensor.isnan().any():
            raise ValueError(f"{name} must not be NaN, got {int(tensor.isnan().sum())} of them")

    # class by class, the highest guide first: of two boxes of a class, only the earlier can remove the later
    order = guide.argsort(descending=True, stable=True)
    order = order[labels[order].argsort(stable=True)]
    rects = xyxy_to_xywh(boxes.to(torch.promote_types(boxes.dtype, torch.float32)))[order]
    keeper = torch.empty_like(order).scatter_(0, order, order[_keepers(rects, labels[order], iou_threshold)])

    best = scores.clone().scatter_reduce_(0, keeper, scores, "amax")
    keep = (keeper == torch.arange(len(keeper), device=keeper.device)).nonzero()[:, 0]
    keep = keep[guide[keep].argsort(descending=True, stable=True)]
    keep = keep[best[keep].argsort(descending=True, stable=True)]
    return keep, best[keep]


def _keepers(rects: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """For ordered boxes, (N, 4) and (N,), the position of the box that represents each: its own if it is kept.

    A round decides the first boxes of every class among themselves, and the kept ones remove others. This needs memory
    proportional to N, and one round for every `_FRONT` boxes of a class that no other box removes.
    """
    keeper = torch.arange(len(labels), device=labels.device)
    undecided = keeper.clone()
    while len(undecided):
        classes, of_box, count = labels[undecided].unique_consecutive(return_inverse=True, return_counts=True)
        rank = torch.arange(len(undecided), device=labels.device) - (count.cumsum(0) - count)[of_box]
        in_front = rank < _FRONT
        front = torch.full((len(classes), _FRONT), -1, device=labels.device)
        front[of_box[in_front], rank[in_front]] = undecided[in_front]
        boxes = torch.where(front[..., None] >= 0, rects[front], 0.0)  # an empty box if a class has no more

        # [., i, j]: i comes before j, and removes it if i itself is kept
        overlaps = (elementwise_iou(boxes[:, :, None], boxes[:, None]) > threshold).triu(diagonal=1)
        # the first box is decided, and each pass decides at least the next one: exactly the greedy algorithm
        kept = torch.ones_like(front, dtype=torch.bool)
        while True:
            update = ~(overlaps & kept[:, :, None]).any(dim=1)
            if torch.equal(update, kept):
                break
            kept = update

        removes = (elementwise_iou(boxes[of_box], rects[undecided, None]) > threshold) & kept[of_box]
        removed = removes.any(dim=1)
        first = removes.int().argmax(dim=1)  # the first box that removes it; a kept box removes itself
        keeper[undecided[removed]] = front[of_box, first][removed]
        undecided = undecided[~(removed | in_front)]
    return keeper
