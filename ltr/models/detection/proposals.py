"""Training boxes of an IoU-Net around a label (Jiang et al., 2018; Appendix C.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from ebm_common import elementwise_iou

_NUM_BINS = 20  # of the range of IoU
_SPREAD = 0.6  # of candidates, per 1 - min_iou: their IoU is nearly uniform before the selection


def iou_uniform_boxes(rects: Tensor, num_samples: int = 128, min_iou: float = 0.5) -> Tensor:
    """Boxes whose IoU with their label is uniform over [min_iou, 1].

    Candidates are copies of the label with Gaussian noise on the centre, in units of the label's size, and on the
    logarithm of the size. The noise's standard deviation is itself uniform from 0 upwards, so some candidates are near
    and others far. Of the candidates with an IoU of at least `min_iou`, `num_samples` are drawn without replacement,
    with weights inverse to the number of candidates in the same bin of IoU. All random numbers come from PyTorch's
    global generator of the device of `rects`.

    Args:
        rects: (B, 4) labels (x, y, w, h) in pixels.
        num_samples: M, boxes per label.
        min_iou: in (0, 1).

    Returns:
        (B, M, 4), (x, y, w, h) in pixels, in at least float32, of positive size. If rounding leaves too few candidates,
        because a label is small and far from the origin, the label itself fills the rest.

    Raises:
        ValueError: if the shape is not (B, 4), a size is not positive, num_samples < 1, or min_iou is outside (0, 1).
    """
    if rects.ndim != 2 or rects.shape[1] != 4 or not (rects[:, 2:] > 0).all():
        raise ValueError(f"rects must be (B, 4) of positive size, got {tuple(rects.shape)}")
    if num_samples < 1 or not 0 < min_iou < 1:
        raise ValueError(f"num_samples must be at least 1 and min_iou in (0, 1), got {num_samples} and {min_iou}")
    label = rects.to(torch.promote_types(rects.dtype, torch.float32))[:, None]
    if len(label) == 0:  # multinomial fails on an empty tensor
        return label.new_zeros(0, num_samples, 4)
    candidates = max(1024, 8 * num_samples)
    width = _SPREAD * (1 - min_iou) * torch.rand(len(rects), candidates, 1, device=label.device, dtype=label.dtype)
    noise = width * torch.randn(len(rects), candidates, 4, device=label.device, dtype=label.dtype)
    size = label[..., 2:] * noise[..., 2:].exp()
    boxes = torch.cat([label[..., :2] + (noise[..., :2] + 0.5) * label[..., 2:] - 0.5 * size, size], dim=-1)
    iou = elementwise_iou(boxes, label)

    usable = iou >= min_iou
    bins = ((iou - min_iou) * (_NUM_BINS / (1 - min_iou))).long().clamp(0, _NUM_BINS - 1)
    count = torch.zeros(len(rects), _NUM_BINS, device=iou.device).scatter_add_(1, bins, usable.float())
    # unusable candidates become the label, with just enough weight to be drawn when nothing else is left
    weight = torch.where(usable, 1 / count.gather(1, bins), 1e-20)
    boxes = torch.where(usable[..., None], boxes, label)
    chosen = weight.multinomial(num_samples)
    return boxes.gather(1, chosen[..., None].expand(-1, -1, 4))
