"""Precise RoI pooling (Jiang et al., "Acquisition of Localization Confidence for Accurate Object Detection", 2018).

The pooled value of a bin is the exact mean of the bilinearly interpolated feature map over the bin, so it is
differentiable in the box as well as in the features. The bilinear kernel is a product of two triangle functions, and so
the integral over a bin is a product of two one-dimensional integrals: pooling one channel of one box is
`Wy @ F @ Wx.T`, where a row of `Wy` (or `Wx`) integrates the triangle kernels along one side of a row (column) of bins.
Written so, it runs on every device and dtype and autograd supplies both gradients.

This is the reference; compiled kernels, where present, are chosen in `prroi_pool` and must agree with it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

_EMPTY = 1e-12  # cells. Below it the gradient, which divides by the square of a side, would overflow float32


def prroi_pool(
    input: Tensor,
    boxes: Tensor | Sequence[Tensor],
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
) -> Tensor:
    """Exact mean of the bilinearly interpolated `input` over each bin of each box.

    Feature cell (i, j) is a sample at the continuous coordinate (i, j): there is no half-pixel offset. Outside the map
    the features are zero. A box that is empty (below 1e-12 cells), reversed or not finite pools to zero, with zero
    gradient.

    Args:
        input: (B, C, H, W) features, any floating dtype. Weights are computed in at least float32, and the products
            taken in the dtype of `input`.
        boxes: corners (x1, y1, x2, y2) in image coordinates, in one of three forms: (K, 5), whose first column is the
            index of the image in the batch; a sequence of B tensors (L_b, 4); or (B, M, 4), M boxes in each image.
        output_size: number of bins, (rows, columns) or one number for both.
        spatial_scale: feature cells per image pixel (1/8 for features of stride 8).

    Returns:
        (K, C, rows, columns). With the second and third form the boxes follow one another image by image.

    Raises:
        ValueError: for shapes that do not fit, or an image index outside the batch.
    """
    rows, columns = _pair(output_size)
    if input.dim() != 4:
        raise ValueError(f"prroi_pool: input must be (B, C, H, W), got {tuple(input.shape)}")
    batch = input.shape[0]

    if isinstance(boxes, Tensor) and boxes.dim() == 3:
        if boxes.shape[0] != batch or boxes.shape[2] != 4:
            raise ValueError(f"prroi_pool: boxes {tuple(boxes.shape)} do not fit (B, M, 4) with B = {batch}")
        return _pool_batch(input, boxes, rows, columns, spatial_scale).flatten(0, 1)

    if isinstance(boxes, Tensor):
        if boxes.dim() != 2 or boxes.shape[1] != 5:
            raise ValueError(
                f"prroi_pool: boxes must be (K, 5), (B, M, 4) or a sequence of (L, 4), got {tuple(boxes.shape)}"
            )
        index = boxes[:, 0].long()
        if index.numel() and not (0 <= int(index.min()) and int(index.max()) < batch):
            raise ValueError(f"prroi_pool: an image index lies outside 0..{batch - 1}")
        if not batch:
            return _nothing(input, rows, columns)
        where = [torch.nonzero(index == b).squeeze(1) for b in range(batch)]
        pooled = [
            _pool_batch(input[b : b + 1], boxes[None, w, 1:], rows, columns, spatial_scale)[0]
            for b, w in enumerate(where)
        ]
        return torch.cat(pooled)[torch.argsort(torch.cat(where))]

    if len(boxes) != batch or any(b.dim() != 2 or b.shape[1] != 4 for b in boxes):
        raise ValueError(f"prroi_pool: expected {batch} tensors (L, 4), got {[tuple(b.shape) for b in boxes]}")
    pooled = [_pool_batch(input[i : i + 1], b[None], rows, columns, spatial_scale)[0] for i, b in enumerate(boxes)]
    return torch.cat(pooled) if pooled else _nothing(input, rows, columns)


def _nothing(features: Tensor, rows: int, columns: int) -> Tensor:
    return features.new_zeros((0, features.shape[1], rows, columns))


def _pool_batch(features: Tensor, boxes: Tensor, rows: int, columns: int, scale: float) -> Tensor:
    """(B, C, H, W) and (B, M, 4) -> (B, M, C, rows, columns)."""
    b, c, h, w = features.shape
    m = boxes.shape[1]
    boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32)) * scale
    span = boxes[..., 2:] - boxes[..., :2]  # not finite where a corner is not, or where the difference overflows
    usable = (torch.isfinite(span) & (span > _EMPTY)).all(-1, keepdim=True)
    # A safe stand-in under the mask keeps both the value and the gradient of an unusable box at exactly zero.
    boxes = torch.where(usable, boxes, boxes.new_tensor([0.0, 0.0, 1.0, 1.0]))
    wx = _bin_weights(boxes[..., 0], boxes[..., 2], columns, w)
    wy = _bin_weights(boxes[..., 1], boxes[..., 3], rows, h) * usable[..., None]
    wx, wy = wx.to(features.dtype), wy.to(features.dtype)

    channels_last = features.permute(0, 2, 3, 1).reshape(b, h, w * c)
    over_rows = torch.bmm(wy.reshape(b, m * rows, h), channels_last).view(b * m, rows * w, c)
    over_rows = over_rows.view(b * m * rows, w, c)
    wx = wx.view(b * m, 1, columns, w).expand(-1, rows, -1, -1).reshape(b * m * rows, columns, w)
    pooled = torch.bmm(wx, over_rows)
    return pooled.view(b, m, rows, columns, c).permute(0, 1, 4, 2, 3)


def _bin_weights(low: Tensor, high: Tensor, bins: int, cells: int) -> Tensor:
    """Integral of each cell's triangle kernel over each bin, divided by the bin's length: (..., bins, cells)."""
    fraction = torch.arange(bins + 1, device=low.device, dtype=low.dtype) / bins
    edges = low[..., None] + (high - low)[..., None] * fraction
    t = (edges[..., None] - torch.arange(cells, device=low.device, dtype=low.dtype)).clamp(-1, 1)
    integral = 0.5 + t * (1 - 0.5 * t.abs())  # of the triangle 1 - |t| from -1 to t
    return (integral[..., 1:, :] - integral[..., :-1, :]) * (bins / (high - low))[..., None, None]


class PrRoIPool(nn.Module):
    """See :func:`prroi_pool`."""

    def __init__(self, output_size: int | tuple[int, int], spatial_scale: float = 1.0):
        super().__init__()
        self.output_size = output_size
        self.spatial_scale = spatial_scale

    def forward(self, input: Tensor, boxes: Tensor | Sequence[Tensor]) -> Tensor:
        return prroi_pool(input, boxes, self.output_size, self.spatial_scale)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, spatial_scale={self.spatial_scale}"
