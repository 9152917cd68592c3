"""Backbones by name."""

from collections.abc import Callable
from pathlib import Path

from ltr.common.errors import UserError
from ltr.models.backbone.base import STRIDES, Backbone
from ltr.models.backbone.efficientnet_lite import EfficientNetLite0
from ltr.models.backbone.resnet import ResNet18

BACKBONES: dict[str, Callable[[], Backbone]] = {"efficientnet_lite0": EfficientNetLite0, "resnet18": ResNet18}

__all__ = ["BACKBONES", "STRIDES", "Backbone", "EfficientNetLite0", "ResNet18", "build_backbone"]


def build_backbone(name: str, imagenet: bool = True, weights: Path | None = None) -> Backbone:
    """The backbone of that name.

    Args:
        name: a key of BACKBONES.
        imagenet: whether to load ImageNet weights.
        weights: file of those weights; None for the backbone's own source.

    Raises:
        UserError: if the name is unknown, or weights are not available.
    """
    if name not in BACKBONES:
        raise UserError(f"there is no backbone {name!r}; there are: {', '.join(BACKBONES)}")
    backbone = BACKBONES[name]()
    if imagenet:
        backbone.load_imagenet(weights)
    return backbone
