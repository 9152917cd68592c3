"""What every backbone offers to the heads above it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

STRIDES = {"stride8": 8, "stride16": 16}


class Backbone(nn.Module):
    """A network from images to features at strides 8 and 16, carrying the input normalisation it was trained with.

    Attributes:
        name: the name it is built by.
        out_channels: channels of each output, keyed like the outputs.
        first_cell: where the first feature cell looks at, keyed like the outputs: its centre in pixels from the image's
            edge. Cell i is `stride * i` further. What boxes are pooled by.
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
        raise NotImplementedError

    def load_imagenet(self, file: Path | None = None) -> None:
        """Take ImageNet weights from `file`, or from where the backbone has them by default.

        Raises:
            UserError: if they are not available, or the file holds something else.
        """
        raise NotImplementedError

    def classification_layer(self, file: Path | None = None) -> nn.Module | None:
        """A frozen layer from the stride-16 features to those that a classifier of targets learns on.

        It takes (B, C16, H/16, W/16) to (B, K, H/16, W/16), in evaluation mode. None where the backbone's own features
        are made for that.

        Args:
            file: ImageNet weights, as in :meth:`load_imagenet`.

        Raises:
            UserError: if weights are not available.
        """
        return None
