"""The image encoder: a classification network, averaged over the image to a vector g_x (Appendices E.1 and F.1)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import timm
import torch
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights, resnet50

from ltr.common.errors import UserError
from ltr.common.settings import run_field
from ltr.models.backbone.efficientnet_lite import imagenet_state_dict
from ltr.models.inference import optimize_for_inference
from ltr.models.weights_file import download, read_state_dict, state_dict_mismatch

CHANNELS = {"resnet50": 2048, "efficientnet_lite0": 1280, "efficientnet_lite2": 1280}
_RESNET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_LITE = ((127 / 255,) * 3, (128 / 255,) * 3)  # Lite networks see pixels as (v - 127) / 128


@dataclass
class EncoderSettings:
    """The network that reads images."""

    name: Literal["resnet50", "efficientnet_lite0", "efficientnet_lite2"] = "resnet50"
    """The paper's ResNet50 (E.1, F.1), or a small one for a machine without a GPU."""
    imagenet: bool = True
    """Start from ImageNet's weights (E.2, F.2)."""
    weights: Path | None = run_field(None)
    """File with those weights; by default they come from torchvision's download, or from the Lite network's package."""
    frozen_copies: int = 0
    """0 trains this network too, as the paper does. P > 0 keeps it as it is and computes its features of P augmented
    versions of each training image once, which makes training a matter of minutes without a GPU, and worse."""


class ImageEncoder(nn.Module):
    """A network from images to features.

    Args:
        settings: of the network. A frozen network is always in evaluation mode, and its parameters need no gradient.
        imagenet: False keeps random weights even if the settings ask for ImageNet's, because others are loaded next.

    Attributes:
        channels: C, the length of the features.

    Raises:
        UserError: if the weights are not available, or the file is something else.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, settings: EncoderSettings, imagenet: bool = True) -> None:
        super().__init__()
        name = settings.name
        self.name, self.channels, self.frozen = name, CHANNELS[name], settings.frozen_copies > 0
        if name == "resnet50":
            self.net = resnet50(weights=None)
            self.net.fc = nn.Identity()
        else:
            self.net = timm.create_model(f"tf_{name}", num_classes=0)
        if imagenet and settings.imagenet:
            own = self.net.state_dict()
            state = _imagenet(name, settings.weights)
            problem = state_dict_mismatch(own, state)
            if problem:
                raise UserError(f"{settings.weights or 'the download'} is not torchvision's {name}: {problem}")
            self.net.load_state_dict({**own, **{k: v for k, v in state.items() if k in own}})
        mean, std = _RESNET if name == "resnet50" else _LITE
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(not self.frozen)
        self.train()

    def train(self, mode: bool = True) -> ImageEncoder:
        return super().train(mode and not self.frozen)

    def forward(self, x: Tensor) -> Tensor:
        """g_x (B, C) of RGB images x, uint8 (B, 3, S, S); features x, float (B, C), are returned unchanged."""
        if x.ndim == 2:
            return x
        x = (x - self.mean) / self.std
        return self.net(x.contiguous(memory_format=torch.channels_last))

    def for_inference(self, device: torch.device) -> ImageEncoder:
        """A copy on `device` that computes the same function faster, and cannot be trained."""
        fast = copy.deepcopy(self).eval().to(device)
        fast.net = optimize_for_inference(fast.net)
        return fast


def _imagenet(name: str, file: Path | None) -> dict[str, Tensor]:
    if name != "resnet50":
        return imagenet_state_dict(file, name)
    if file is not None:
        return read_state_dict(file, name)
    return download(
        ResNet50_Weights.IMAGENET1K_V1,  # the meaning of `pretrained=True` when the paper was written
        name,
        "fetch that file elsewhere and name it by --encoder.weights, or choose --encoder.name efficientnet_lite0, "
        "whose weights are installed",
    )
