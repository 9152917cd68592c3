"""The confidence branch of IoU-Net and of the paper's model: f(x, y) of boxes y in an image x (Appendix C.1).

Features of an image are computed once. Any box is pooled from them exactly; two fully connected layers (Feat-Conf) and
a third (FC-Conf) give f for every class.
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

    The box's area decides the level, as in torchvision's `MultiScaleRoIAlign`. The decision is not differentiated: as a
    function of the box, pooled features jump where the level changes.

    Args:
        features: maps (N, C, H_l, W_l) by name, finest first.
        names: of P2 to P5, the levels to pool from.
        image_sizes: (height, width) of each image, in pixels, without padding.
        num_bins: rows and columns of bins.
    """

    def __init__(
        self,
        features: Mapping[str, Tensor],
        names: Sequence[str],
        image_sizes: Sequence[tuple[int, int]],
        num_bins: int,
    ) -> None:
        # pooling half-precision maps, as under autocast, in half precision would round the boxes
        self.maps = [features[name].to(torch.promote_types(features[name].dtype, torch.float32)) for name in names]
        self.image_sizes = list(image_sizes)
        self.num_bins = num_bins
        self._level_of = LevelMapper(2, 5, _CANONICAL_SIZE, _CANONICAL_LEVEL)

    def pool(self, boxes: Tensor, image: Tensor) -> Tensor:
        """Features (K, C, num_bins, num_bins) of finite boxes, corners (K, 4) in pixels, and their images (K,)."""
        channels = self.maps[0].shape[1]
        level = self._level_of([boxes.detach()])
        rois = torch.cat([image[:, None].to(boxes.dtype), boxes], dim=1)
        parts, order = [boxes.new_zeros((0, channels, self.num_bins, self.num_bins), dtype=self.maps[0].dtype)], []
        for i, (features, scale) in enumerate(zip(self.maps, SCALES, strict=True)):
            where = (level == i).nonzero()[:, 0]
            order.append(where)
            if len(where):
                parts.append(prroi_pool(features, rois[where], self.num_bins, scale))
        return torch.cat(parts)[torch.cat(order).argsort()]


@dataclass(frozen=True)
class Objects:
    """B objects in a batch of images: the `features` of `energy(features, y)`.

    Attributes:
        pyramid: of the images.
        image: (B,) int64, the image of each object.
        label: (B,) int64, its class.
        size: (B, 2), width and height in pixels, the unit of its relative boxes: in training the label's size, in
            refinement the box's own size at the start.
    """

    pyramid: Pyramid
    image: Tensor
    label: Tensor
    size: Tensor


class ConfidenceBranch(nn.Module):
    """f(x, y) for the class of each object.

    Args:
        box_head: Feat-Box of the detector. Feat-Conf has the same layers; :meth:`start_from` copies the weights.
        channels: of its output.
        num_classes: with the background, whose output is not used.
    """

    def __init__(self, box_head: nn.Module, channels: int, num_classes: int) -> None:
        super().__init__()
        self.feat_conf = copy.deepcopy(box_head)
        self.fc_conf = nn.Linear(channels, num_classes)
        nn.init.normal_(self.fc_conf.weight, std=0.001)
        nn.init.zeros_(self.fc_conf.bias)

    def start_from(self, box_head: nn.Module) -> None:
        """Copies the weights of Feat-Box to Feat-Conf (C.2)."""
        self.feat_conf.load_state_dict(box_head.state_dict())

    def energy(self, objects: Objects, y: Tensor) -> Tensor:
        """f of M candidates of each object.

        Args:
            objects: B objects.
            y: (B, M, 4), relative to `objects.size`: (c_x / w_0, c_y / h_0, log w, log h).

        Returns:
            (B, M)
        """
        return self.score(objects, xywh_to_xyxy(rel_to_rect(y, objects.size[:, None])))

    def score(self, objects: Objects, boxes: Tensor) -> Tensor:
        """f (B, M) of corners (B, M, 4) in pixels, never in half precision, which would hide small steps upwards."""
        b, m = boxes.shape[:2]
        if not b * m:
            return boxes.sum(-1)
        pooled = objects.pyramid.pool(boxes.reshape(-1, 4), objects.image.repeat_interleave(m))
        weight, bias = self.fc_conf.weight[objects.label], self.fc_conf.bias[objects.label]
        with torch.autocast(boxes.device.type, enabled=False):
            hidden = self.feat_conf(pooled).view(b, m, -1)
            # FC-Conf, but only the output of each object's class
            return torch.bmm(hidden, weight[:, :, None])[..., 0] + bias[:, None]
