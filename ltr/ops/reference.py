"""PrRoIPool in plain PyTorch: exact, on any device and in any floating dtype, with both gradients from autograd.

The pooled value of a bin is the exact mean of the bilinearly interpolated feature map over the bin, so it is
differentiable in the box as well as in the features. The bilinear kernel is a product of two triangle functions, so the
integral over a bin is a product of two one-dimensional integrals: pooling one channel of one box is `Wy @ F @ Wx.T`,
where a row of `Wy` (or `Wx`) integrates the triangle kernels along one side of a row (column) of bins.

The compiled kernels must agree with this form. It runs if they are missing.
"""

import torch
from torch import Tensor

_EMPTY = 1e-12  # cells. Below it the gradient, which divides by the square of a side, would overflow float32


def prroi_pool(
    features: Tensor, boxes: Tensor, rows: int, columns: int, scale: float, index: Tensor | None = None
) -> Tensor:
    """Pools boxes, with the arguments of the compiled operator.

    Args:
        features: (B, C, H, W).
        boxes: (K, 4) corners.
        rows, columns: number of bins.
        scale: feature cells per unit of the boxes.
        index: (K,) int64, each box's image in the batch; without it, boxes are ordered image by image, equally many
            for each.

    Returns:
        (K, C, rows, columns).
    """
    batch, channels = features.shape[:2]
    if not batch:
        return features.new_zeros((0, channels, rows, columns))
    # autocast would compute the products in another dtype than that of the features
    with torch.autocast(features.device.type, enabled=False):
        if index is None:
            return _pool_batch(features, boxes.view(batch, -1, 4), rows, columns, scale)
        where = [torch.nonzero(index == b).squeeze(1) for b in range(batch)]
        pooled = [_pool_batch(features[b : b + 1], boxes[None, w], rows, columns, scale) for b, w in enumerate(where)]
        return torch.cat(pooled)[torch.argsort(torch.cat(where))]


def _pool_batch(features: Tensor, boxes: Tensor, rows: int, columns: int, scale: float) -> Tensor:
    """(B, C, H, W) and (B, M, 4) -> (B M, C, rows, columns)."""
    b, c, h, w = features.shape
    m = boxes.shape[1]
    usable, boxes = usable_boxes(boxes, scale)
    wx = bin_weights(boxes[..., 0], boxes[..., 2], columns, w)
    wy = bin_weights(boxes[..., 1], boxes[..., 3], rows, h) * usable[..., None]
    wx, wy = wx.to(features.dtype), wy.to(features.dtype)

    channels_last = features.permute(0, 2, 3, 1).reshape(b, h, w * c)
    over_rows = torch.bmm(wy.reshape(b, m * rows, h), channels_last).view(b * m * rows, w, c)
    wx = wx.view(b * m, 1, columns, w).expand(-1, rows, -1, -1).reshape(b * m * rows, columns, w)
    pooled = torch.bmm(wx, over_rows)
    return pooled.view(b * m, rows, columns, c).permute(0, 3, 1, 2)


def usable_boxes(boxes: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Which boxes (..., 4) can be pooled, (..., 1), and the boxes in cells, with a harmless one for each that cannot.

    Under the mask, a harmless box keeps both the value and the gradient at exactly zero.
    """
    boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32)) * scale
    span = boxes[..., 2:] - boxes[..., :2]  # not finite where a corner is not, or where the difference overflows
    usable = ((span > _EMPTY) & (span < torch.inf)).all(-1, keepdim=True)
    low, high = boxes.split(2, dim=-1)
    harmless = torch.cat(
        [torch.zeros_like(low), torch.ones_like(high)], dim=-1
    )  # made on the device: nothing is copied
    return usable, torch.where(usable, boxes, harmless)


def bin_weights(low: Tensor, high: Tensor, bins: int, cells: int) -> Tensor:
    """Integral of each cell's triangle kernel over each bin, divided by the bin's length: (..., bins, cells)."""
    _, t = _edges(low, high, bins, cells)
    integral = 0.5 + t * (1 - 0.5 * t.abs())  # of the triangle 1 - |t| from -1 to t
    return (integral[..., 1:, :] - integral[..., :-1, :]) * (bins / (high - low))[..., None, None]


def bin_weight_slopes(low: Tensor, high: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The derivatives in low and in high of the `weights` of :func:`bin_weights`, (..., bins, cells) each."""
    bins, cells = weights.shape[-2:]
    fraction, t = _edges(low, high, bins, cells)
    triangle = 1 - t.abs()
    # of each edge's integral, in high; in low and high together the edges move by as much as both do
    of_high, of_both = (moved[..., 1:, :] - moved[..., :-1, :] for moved in (triangle * fraction[:, None], triangle))
    over_length = (1 / (high - low))[..., None, None]
    high_slope = (bins * of_high - weights) * over_length
    return bins * of_both * over_length - high_slope, high_slope


def _edges(low: Tensor, high: Tensor, bins: int, cells: int) -> tuple[Tensor, Tensor]:
    """Each edge's share of the way from low to high, (bins + 1,), and its distance from each cell, at most 1 in size:
    (..., bins + 1, cells)."""
    fraction = torch.arange(bins + 1, device=low.device, dtype=low.dtype) / bins
    edges = low[..., None] + (high - low)[..., None] * fraction
    return fraction, (edges[..., None] - torch.arange(cells, device=low.device, dtype=low.dtype)).clamp(-1, 1)
