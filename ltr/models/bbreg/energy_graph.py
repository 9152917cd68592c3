"""The energy of boxes with its gradient in plain operators and without autograd, as a graph that can be exported.

f is as in `inference.py`, for any number of images. The gradient leads through the pooling, `Wy F Wx^T` for every
channel (see :mod:`ltr.ops.reference`), by the derivatives of the weights Wx and Wy in the box.
"""

import torch
from torch import Tensor, nn

from ebm_common.boxes import rel_to_rect, xywh_to_xyxy
from ltr.models.bbreg.atom_iou_net import AtomIoUNet
from ltr.models.bbreg.inference import Level, box_levels
from ltr.ops.reference import bin_weight_slopes, bin_weights, usable_boxes


class EnergyGraph(nn.Module):
    """f(x, y) and its gradient in y.

    Args:
        head: in evaluation mode.
    """

    def __init__(self, head: AtomIoUNet):
        super().__init__()
        levels, self.constant = box_levels(head)
        self.levels = nn.ModuleList(map(_LevelGraph, levels))

    def forward(self, map8: Tensor, map16: Tensor, size: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The values f (B, M) and their gradients (B, M, 4).

        Args:
            map8, map16: modulated features (B, C, side, side).
            size: (B, 2), width and height, the unit of `y` in pixels.
            y: (B, M, 4), boxes in the relative parametrisation.
        """
        boxes = rel_to_rect(y, size[:, None])
        corners = xywh_to_xyxy(boxes)
        (f8, of_corners8), (f16, of_corners16) = (
            level(features, corners) for level, features in zip(self.levels, (map8, map16), strict=True)
        )
        first, last = (of_corners8 + of_corners16).split(2, dim=-1)
        # the corners are centre * size -+ side / 2, with side = exp(y[2:])
        gradient = torch.cat([size[:, None] * (first + last), boxes[..., 2:] / 2 * (last - first)], dim=-1)
        return f8 + f16 + self.constant, gradient


class _LevelGraph(nn.Module):
    weight: Tensor
    bias: Tensor
    out: Tensor

    def __init__(self, level: Level):
        super().__init__()
        for name in ("weight", "bias", "out"):
            self.register_buffer(name, getattr(level, name).clone())
        self.scale, self.first_cell, self.bins = level.scale, level.first_cell, level.bins

    def forward(self, features: Tensor, corners: Tensor) -> tuple[Tensor, Tensor]:
        """Square features (B, C, S, S), corners (B, M, 4) in pixels -> the level's share of f, its gradient in them."""
        channels, side = features.shape[1:3]
        rows_first = features.permute(0, 2, 3, 1).flatten(2)  # (B, S, S C)
        usable, boxes = usable_boxes(corners - self.first_cell, self.scale)
        low, high = boxes.split(2, dim=-1)  # x and y, which share all that follows
        weights = bin_weights(low, high, self.bins, side)
        wx, wy = (weights * usable[..., None, None]).unbind(2)  # (B, M, bins, S)
        wx = wx[:, :, None]

        over_rows = (wy.flatten(1, 2) @ rows_first).unflatten(1, (-1, self.bins)).unflatten(3, (side, channels))
        pooled = (wx @ over_rows).flatten(2)  # rows, columns and channels, as the columns of the weight
        hidden = nn.functional.linear(pooled, self.weight, self.bias).relu()
        of_pooled = ((hidden > 0).to(hidden) * self.out) @ self.weight
        of_pooled = of_pooled.unflatten(2, (self.bins, self.bins, channels))

        of_wx = (of_pooled @ over_rows.transpose(-1, -2)).sum(2)
        spread = (wx.transpose(-1, -2) @ of_pooled).flatten(3).flatten(1, 2)  # (B, M bins, S C)
        of_wy = (spread @ rows_first.transpose(1, 2)).unflatten(1, (-1, self.bins))
        of_weights = torch.stack([of_wx, of_wy], dim=2) * usable[..., None, None]
        slopes = bin_weight_slopes(low, high, weights)
        gradient = torch.cat([(of_weights * slope).sum((-1, -2)) for slope in slopes], dim=-1)
        return hidden @ self.out, gradient * self.scale
