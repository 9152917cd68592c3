"""The interface of backbones."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

STRIDES = {"stride8": 8, "stride16": 16}


class Backbone(nn.Module):
    """A network from images to features at strides 8 and 16; it normalises its input as in its training.

    Attributes:
        name: its name in `BACKBONES`.
        out_channels: channels of each output, keyed like the outputs.
        first_cell: centre of the first feature cell in pixels from the image's edge, keyed like the outputs. Cell i is
            `stride * i` further. Box pooling uses it.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        out_channels: dict[str, int],
        first_cell: dict[str, float],
        mean: Sequence[float],
        std: Sequence[float],
    ):
        super().__init__()
        self.name = name
        self.out_channels = out_channels
        self.first_cell = first_cell
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features of RGB `images` (B, 3, H, W) in [0, 1]: {"stride8": (B, C8, H/8, W/8), "stride16": ...}."""
        return self.extract((images - self.mean) / self.std)

    def extract(self, normalised: Tensor) -> dict[str, Tensor]:
        """Features of normalised images, as :meth:`forward`."""
        raise NotImplementedError

    def load_imagenet(self, file: Path | None = None) -> None:
        """Loads ImageNet weights from `file`, or from the backbone's default source.

        Raises:
            UserError: if they are not available, or the file holds something else.
        """
        raise NotImplementedError

    def classification_layer(self, file: Path | None = None) -> nn.Module | None:
        """A frozen layer from the stride-16 features to the features for the target classifier.

        It maps (B, C16, H/16, W/16) to (B, K, H/16, W/16), in evaluation mode. None if the classifier uses the
        stride-16 features themselves.

        Args:
            file: ImageNet weights, as in :meth:`load_imagenet`.

        Raises:
            UserError: if weights are not available.
        """
        return None
