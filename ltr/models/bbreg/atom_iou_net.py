"""The box network of ATOM (Danelljan et al., CVPR 2019), which the paper's EBM tracker shares (Appendix D).

A reference image and its target box give a modulation vector for each feature level. It multiplies the features of a
test image; candidate boxes are pooled from the product, and a few linear layers give one number per box. For ATOM and
ATOM* the number is a predicted IoU, for the EBM the energy f(x, y) of Eq. 1.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ebm_common.boxes import rel_to_rect, xywh_to_xyxy
from ltr.models.backbone import STRIDES
from ltr.ops import prroi_pool


class Modulation(NamedTuple):
    """The contribution of the reference image: one vector per feature level, each (B, C)."""

    stride8: Tensor
    stride16: Tensor


class BoxFeatures(NamedTuple):
    """The features of a test image for `energy`: modulated maps (B, C, H, W) per level, and the size (B, 2), w and h.

    The size is the unit of relative boxes.
    """

    stride8: Tensor
    stride16: Tensor
    size: Tensor


class LinearBlock(nn.Module):
    """Linear, batch norm and ReLU on flattened maps (K, C, P, P) -> (K, out)."""

    def __init__(self, channels: int, out: int, pooled: int):
        super().__init__()
        self.linear = nn.Linear(channels * pooled * pooled, out)
        self.bn = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x.flatten(1))
        return self.relu(self.bn(x[:, :, None, None])).flatten(1)


def _conv(channels: int, out: int, kernel: int = 3, padding: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, padding=padding, bias=True), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
    )


class AtomIoUNet(nn.Module):
    """f(x, y) for boxes. Parameter names are PyTracking's, so that its state dicts load.

    Args:
        in_channels: channels of the backbone at strides 8 and 16.
        channels: channels of the test branch at strides 8 and 16 (ATOM: 256, 256).
        hidden: width of the two linear blocks (ATOM: 256, 256).
        first_cell: pixels from the image's edge to the centre of the first feature cell at strides 8 and 16.
    """

    def __init__(
        self,
        in_channels: tuple[int, int] = (128, 256),
        channels: tuple[int, int] = (256, 256),
        hidden: tuple[int, int] = (256, 256),
        first_cell: tuple[float, float] = (0.0, 0.0),
    ):
        super().__init__()
        self.first_cell = first_cell
        self.conv3_1r = _conv(in_channels[0], 128)
        self.conv3_1t = _conv(in_channels[0], channels[0])
        self.conv3_2t = _conv(channels[0], channels[0])
        self.fc3_1r = _conv(128, 256, padding=0)

        self.conv4_1r = _conv(in_channels[1], 256)
        self.conv4_1t = _conv(in_channels[1], channels[1])
        self.conv4_2t = _conv(channels[1], channels[1])

        self.fc34_3r = _conv(256 + 256, channels[0], kernel=1, padding=0)
        self.fc34_4r = _conv(256 + 256, channels[1], kernel=1, padding=0)

        self.fc3_rt = LinearBlock(channels[0], hidden[0], 5)
        self.fc4_rt = LinearBlock(channels[1], hidden[1], 3)
        self.iou_predictor = nn.Linear(hidden[0] + hidden[1], 1)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_in")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def modulation(self, reference: dict[str, Tensor], boxes: Tensor) -> Modulation:
        """The modulation by reference features with target boxes (B, 4), x, y, w, h in pixels of the crop."""
        pooled3 = self._pool(self.conv3_1r(reference["stride8"]), "stride8", boxes[:, None], 3)
        pooled4 = self._pool(self.conv4_1r(reference["stride16"]), "stride16", boxes[:, None], 1)
        both = torch.cat([self.fc3_1r(pooled3), pooled4], dim=1)
        return Modulation(self.fc34_3r(both).flatten(1), self.fc34_4r(both).flatten(1))

    def test_features(self, test: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The test branch before modulation: two maps (B, C, H, W)."""
        return self.conv3_2t(self.conv3_1t(test["stride8"])), self.conv4_2t(self.conv4_1t(test["stride16"]))

    def encode(self, modulation: Modulation, test: dict[str, Tensor], size: Tensor) -> BoxFeatures:
        """The features of a test image; `size` (B, 2), width and height, is the unit of relative boxes."""
        level8, level16 = self.test_features(test)
        return BoxFeatures(
            level8 * modulation.stride8[..., None, None], level16 * modulation.stride16[..., None, None], size
        )

    def score(self, features: BoxFeatures, boxes: Tensor) -> Tensor:
        """One number (B, M) per box; boxes (B, M, 4) are x, y, w, h in pixels of the test crop."""
        pooled3 = self._pool(features.stride8, "stride8", boxes, 5)
        pooled4 = self._pool(features.stride16, "stride16", boxes, 3)
        hidden = torch.cat([self.fc3_rt(pooled3), self.fc4_rt(pooled4)], dim=1)
        return self.iou_predictor(hidden).view(boxes.shape[:2])

    def energy(self, features: BoxFeatures, y: Tensor) -> Tensor:
        """f(x, y), (B, M), of boxes y (B, M, 4) in the relative parametrisation with the unit `features.size`."""
        return self.score(features, rel_to_rect(y, features.size[:, None]))

    def _pool(self, features: Tensor, level: str, boxes: Tensor, size: int) -> Tensor:
        """(B, C, H, W) and boxes (B, M, 4) as x, y, w, h in pixels -> (B M, C, size, size)."""
        first = self.first_cell[0] if level == "stride8" else self.first_cell[1]
        return prroi_pool(features, xywh_to_xyxy(boxes) - first, size, 1 / STRIDES[level])
