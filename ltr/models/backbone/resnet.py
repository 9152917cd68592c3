"""ResNet-18, the backbone of ATOM and of the paper's trackers (Appendix D)."""

from pathlib import Path

from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, resnet18

from ltr.common.errors import UserError
from ltr.models.backbone.base import Backbone
from ltr.models.weights_file import download, read_state_dict, state_dict_mismatch


class ResNet18(Backbone):
    """torchvision's ResNet-18 up to layer3. Parameter names are torchvision's, which PyTracking shares."""

    conv1: nn.Module
    bn1: nn.Module
    relu: nn.Module
    maxpool: nn.Module
    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module

    def __init__(self) -> None:
        super().__init__(
            "resnet18",
            {"stride8": 128, "stride16": 256},
            # symmetric padding: the first cell is centred on the first pixel, whose centre PyTracking counts as 0
            {"stride8": 0.0, "stride16": 0.0},
            (0.485, 0.456, 0.406),
            (0.229, 0.224, 0.225),
        )
        net = resnet18(weights=None)
        for part in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"):
            self.add_module(part, getattr(net, part))

    def extract(self, normalised: Tensor) -> dict[str, Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(normalised))))
        stride8 = self.layer2(self.layer1(x))
        return {"stride8": stride8, "stride16": self.layer3(stride8)}

    def load_imagenet(self, file: Path | None = None) -> None:
        """Loads ImageNet weights from `file` (torchvision's resnet18 state dict), or from torchvision's download.

        Raises:
            UserError: if there is neither network access nor a file, or the file is no such state dict.
        """
        remedy = "fetch that file elsewhere and name it in the setting backbone_weights"
        state = (
            download(ResNet18_Weights.IMAGENET1K_V1, "resnet18", remedy)
            if file is None
            else read_state_dict(file, "resnet18")
        )
        own = self.state_dict()
        problem = state_dict_mismatch(own, state)
        if problem:
            raise UserError(f"{file or 'the download'} is not torchvision's resnet18: {problem}")
        self.load_state_dict({**own, **{k: v for k, v in state.items() if k in own}})
