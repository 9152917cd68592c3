"""The confidence branch of IoU-Net and of the paper's model: f(x, y) of boxes y of an image x (Appendix C.1).

Features of an image are computed once; a box, whatever its place, is then pooled from them exactly, and two fully
connected layers (Feat-Conf) and one more (FC-Conf) give f for every class.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.ops.poolers import LevelMapper

from ebm_common import rel_to_rect, xywh_to_xyxy
from ltr.models.detection.faster_rcnn import SCALES
from ltr.ops import prroi_pool

_CANONICAL_SIZE, _CANONICAL_LEVEL = 224, 4  # of the FPN paper, and of torchvision's pooler


class Pyramid:
    """Feature maps of a batch of images, and exact pooling of boxes from them.

    A box is pooled from the level that torchvision's `MultiScaleRoIAlign` would choose for it, by its area. The choice
    is not differentiated: as a function of the box, what is pooled jumps where the level changes.

    Args:
        features: maps (N, C, H_l, W_l) by name, finest first.
        names: of P2 to P5, which are those to pool from.
        image_sizes: (height, width) of each image, in pixels, without the padding that they share.
        bins: rows and columns of bins.
    """

    def __init__(
        self, features: Mapping[str, Tensor], names: Sequence[str], image_sizes: Sequence[tuple[int, int]], bins: int
    ) -> None:
        # of half-precision maps, as under autocast, pooling in half precision would round the boxes
        self.maps = [features[name].to(torch.promote_types(features[name].dtype, torch.float32)) for name in names]
        self.image_sizes = list(image_sizes)
        self.bins = bins
        self._level_of = LevelMapper(2, 5, _CANONICAL_SIZE, _CANONICAL_LEVEL)

    def pool(self, boxes: Tensor, image: Tensor) -> Tensor:
        """Corners (K, 4) in pixels, and each box's image (K,) -> (K, C, bins, bins). Boxes must be finite."""
        channels = self.maps[0].shape[1]
        level = self._level_of([boxes.detach()])
        rois = torch.cat([image[:, None].to(boxes.dtype), boxes], dim=1)
        parts, order = [boxes.new_zeros((0, channels, self.bins, self.bins), dtype=self.maps[0].dtype)], []
        for i, (features, scale) in enumerate(zip(self.maps, SCALES, strict=True)):
            where = (level == i).nonzero()[:, 0]
            order.append(where)
            if len(where):
                parts.append(prroi_pool(features, rois[where], self.bins, scale))
        return torch.cat(parts)[torch.cat(order).argsort()]


@dataclass(frozen=True)
class Objects:
    """B objects of a batch of images: the features that `energy(features, y)` takes.

    Attributes:
        pyramid: of the images.
        image: (B,) int64, the image of each object.
        label: (B,) int64, its class.
        size: (B, 2), the width and height in pixels in which its relative boxes count: in training the label's, in
            refinement the object's own at the start.
    """

    pyramid: Pyramid
    image: Tensor
    label: Tensor
    size: Tensor


class ConfidenceBranch(nn.Module):
    """f(x, y) for the class of each object.

    Args:
        box_head: Feat-Box of the detector. Feat-Conf has its layers, and starts with its weights when
            :meth:`start_from` is called.
        channels: of its output.
        num_classes: with the background, whose output nobody uses.
    """

    def __init__(self, box_head: nn.Module, channels: int, num_classes: int) -> None:
        super().__init__()
        self.feat_conf = copy.deepcopy(box_head)
        self.fc_conf = nn.Linear(channels, num_classes)
        nn.init.normal_(self.fc_conf.weight, std=0.001)
        nn.init.zeros_(self.fc_conf.bias)

    def start_from(self, box_head: nn.Module) -> None:
        """Give Feat-Conf the weights of Feat-Box (C.2)."""
        self.feat_conf.load_state_dict(box_head.state_dict())

    def energy(self, objects: Objects, y: Tensor) -> Tensor:
        """f of M candidates of each object.

        Args:
            objects: B of them.
            y: (B, M, 4), relative to `objects.size`: (c_x / w_0, c_y / h_0, log w, log h).

        Returns:
            (B, M)
        """
        return self.score(objects, xywh_to_xyxy(rel_to_rect(y, objects.size[:, None])))

    def score(self, objects: Objects, boxes: Tensor) -> Tensor:
        """f of corners (B, M, 4) in pixels: (B, M). Never in half precision, in which steps upwards would be lost."""
        b, m = boxes.shape[:2]
        if not b * m:
            return boxes.sum(-1)
        pooled = objects.pyramid.pool(boxes.reshape(-1, 4), objects.image.repeat_interleave(m))
        weight, bias = self.fc_conf.weight[objects.label], self.fc_conf.bias[objects.label]
        with torch.autocast(boxes.device.type, enabled=False):
            hidden = self.feat_conf(pooled).view(b, m, -1)
            # FC-Conf, but only the output of each object's class
            return torch.bmm(hidden, weight[:, :, None])[..., 0] + bias[:, None]
