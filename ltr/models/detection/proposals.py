"""Boxes around a label that an IoU-Net learns from (Jiang et al., 2018; Appendix C.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from ebm_common import elementwise_iou

_BINS = 20  # of the range of IoU
_SPREAD = 0.6  # of candidates, per 1 - min_iou: their IoU is nearly uniform before any is chosen


def iou_uniform_boxes(rects: Tensor, number: int = 128, min_iou: float = 0.5) -> Tensor:
    """Boxes whose IoU with their label is uniform over [min_iou, 1].

    Candidates are the label with its centre moved, in units of its size, and its logarithmic size changed, by Gaussian
    noise of a width that is itself uniform from 0 on: near ones and far ones. Those below `min_iou` are dropped. Of the
    others `number` are drawn without replacement, each with a weight inverse to how many share its bin of IoU. All
    randomness is from PyTorch's global generator of the device of `rects`.

    Args:
        rects: (B, 4) labels (x, y, w, h) in pixels.
        number: of boxes per label, M.
        min_iou: in (0, 1).

    Returns:
        (B, M, 4), (x, y, w, h) in pixels, in float32 at least, of positive size. Labels so small and far from the
        origin that rounding leaves too few candidates are filled up with the label itself.

    Raises:
        ValueError: if the shape is not (B, 4), a size is not positive, num_samples < 1, or min_iou is outside (0, 1).
    """
    if rects.ndim != 2 or rects.shape[1] != 4 or not (rects[:, 2:] > 0).all():
        raise ValueError(f"rects must be (B, 4) of positive size, got {tuple(rects.shape)}")
    if number < 1 or not 0 < min_iou < 1:
        raise ValueError(f"number must be at least 1 and min_iou in (0, 1), got {number} and {min_iou}")
    label = rects.to(torch.promote_types(rects.dtype, torch.float32))[:, None]
    if len(label) == 0:  # of nothing, multinomial draws nothing but an error
        return label.new_zeros(0, number, 4)
    candidates = max(1024, 8 * number)
    width = _SPREAD * (1 - min_iou) * torch.rand(len(rects), candidates, 1, device=label.device, dtype=label.dtype)
    noise = width * torch.randn(len(rects), candidates, 4, device=label.device, dtype=label.dtype)
    size = label[..., 2:] * noise[..., 2:].exp()
    boxes = torch.cat([label[..., :2] + (noise[..., :2] + 0.5) * label[..., 2:] - 0.5 * size, size], dim=-1)
    iou = elementwise_iou(boxes, label)

    usable = iou >= min_iou
    bins = ((iou - min_iou) * (_BINS / (1 - min_iou))).long().clamp(0, _BINS - 1)
    count = torch.zeros(len(rects), _BINS, device=iou.device).scatter_add_(1, bins, usable.float())
    # Enough weight to be drawn when nothing else is left, and then it is the label.
    weight = torch.where(usable, 1 / count.gather(1, bins), 1e-20)
    boxes = torch.where(usable[..., None], boxes, label)
    chosen = weight.multinomial(number)
    return boxes.gather(1, chosen[..., None].expand(-1, -1, 4))
