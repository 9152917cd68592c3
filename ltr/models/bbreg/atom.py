"""ATOM's network: a frozen backbone and the box network on top of it; how it is built, saved and loaded."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from ebm_common.errors import UserError
from ltr.models.backbone import BACKBONES, build_backbone
from ltr.models.bbreg.atom_iou_net import AtomIoUNet


@dataclass(frozen=True)
class AtomNetConfig:
    """What determines the network's shape; saved with its weights."""

    backbone: str = "efficientnet_lite0"
    """Name of the backbone."""
    channels: tuple[int, int] = (128, 128)
    """Channels of the test branch at strides 8 and 16 (ATOM on ResNet-18: 256, 256)."""
    hidden: tuple[int, int] = (256, 256)
    """Width of the linear blocks (ATOM: 256, 256)."""

    @classmethod
    def from_mapping(cls, values: Any) -> "AtomNetConfig":
        known = {f.name for f in fields(cls)}
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in dict(values).items() if k in known}
        return cls(**values)


RESNET18 = AtomNetConfig(backbone="resnet18", channels=(256, 256), hidden=(256, 256))
"""The network of ATOM and of the paper."""


class AtomNet(nn.Module):
    """Backbone and box network under PyTracking's names (`feature_extractor`, `bb_regressor`)."""

    def __init__(self, config: AtomNetConfig, imagenet: bool = True, backbone_weights: Path | None = None):
        super().__init__()
        self.config = config
        self.feature_extractor = build_backbone(config.backbone, imagenet, backbone_weights).requires_grad_(False)
        out, first = self.feature_extractor.out_channels, self.feature_extractor.first_cell
        self.bb_regressor = AtomIoUNet(
            (out["stride8"], out["stride16"]), config.channels, config.hidden, (first["stride8"], first["stride16"])
        )

    def train(self, mode: bool = True) -> "AtomNet":
        """As usual, but the frozen backbone stays in evaluation mode, its batch norms with ImageNet's statistics.

        PyTracking differs: it also puts the frozen backbone's batch norms in training mode.
        """
        super().train(mode)
        self.feature_extractor.eval()
        return self


def save_head(net: AtomNet, file: Path, half: bool = True, notes: dict[str, str] | None = None) -> None:
    """The box network of `net` as safetensors, its configuration in the header; the backbone is not in it."""
    state = {k: v.detach().contiguous().cpu() for k, v in net.bb_regressor.state_dict().items()}
    if half:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    header = {"format": "ebm-regression atom head", "config": json.dumps(asdict(net.config)), **(notes or {})}
    safetensors.torch.save_file(state, str(file), metadata=header)


def load_atom_net(file: Path | str, backbone_weights: Path | None = None, backbone: str | None = None) -> AtomNet:
    """A trained network, in evaluation mode, from any of three kinds of file.

    - `.safetensors` written by :func:`save_head` (the shipped heads);
    - a checkpoint of `ltr/run_training.py`;
    - a PyTracking checkpoint of its ResNet-18 ATOM network (`.pth`, `.pth.tar`), by parameter names.

    Files are data: pickles are read with `weights_only`, and of PyTracking's classes only inert stand-ins are made.

    Args:
        backbone_weights: where the file holds only the head, a file to take the backbone's ImageNet weights from.
        backbone: the backbone that the caller expects; another one in the file is refused.

    Raises:
        UserError: missing, corrupt, of another network or another backbone, or a pickle that would run code.
    """
    file = Path(file)
    if not file.is_file():
        raise UserError(f"there is no checkpoint {file}; train one with ltr/run_training.py or name another file")
    state, config = _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
    if backbone is not None and config.backbone != backbone:
        raise UserError(f"{file} was trained on the backbone {config.backbone}, but {backbone} was asked for")
    if config.backbone not in BACKBONES:
        raise UserError(f"{file} was trained on the backbone {config.backbone!r}, which does not exist here")

    holds_backbone = any(k.startswith("feature_extractor.") for k in state)
    net = AtomNet(config, imagenet=not holds_backbone, backbone_weights=backbone_weights)
    own = net.state_dict()
    if not holds_backbone:
        own = {k: v for k, v in own.items() if k.startswith("bb_regressor.")}
    for name, value in own.items():
        if name not in state:
            raise UserError(f"{file} is not a network of {config.backbone}: {name} is missing")
        if state[name].shape != value.shape:
            raise UserError(
                f"{file} is of another network: {name} has shape {tuple(state[name].shape)}, not {tuple(value.shape)}"
            )
        if not torch.isfinite(state[name].float()).all():
            raise UserError(f"{file} is damaged: {name} holds values that are not finite")
    net.load_state_dict({k: state[k].to(v.dtype) for k, v in own.items()}, strict=False)
    return net.eval()


def _read_safetensors(file: Path) -> tuple[dict[str, Tensor], AtomNetConfig]:
    try:
        with safetensors.safe_open(str(file), "pt") as archive:
            header = archive.metadata() or {}
            state = {f"bb_regressor.{k}": archive.get_tensor(k) for k in archive.keys()}  # noqa: SIM118 (not a dict)
    except Exception as error:
        raise UserError(f"{file} could not be read as safetensors: {error}") from error
    if "config" not in header:
        raise UserError(f"{file} is a safetensors file, but not a head of this package (its header has no config)")
    return state, AtomNetConfig.from_mapping(json.loads(header["config"]))


class _Inert:
    """Stands in for a class that PyTracking pickled into its checkpoints; takes its state and does nothing."""

    def __setstate__(self, state: Any) -> None:
        pass


_PYTRACKING_CLASSES = (
    "ltr.admin.settings.Settings",
    "ltr.admin.local.EnvironmentSettings",
    "ltr.admin.model_constructor.NetConstructor",
    "ltr.admin.stats.AverageMeter",
    "ltr.admin.stats.StatValue",
)


def _read_pickle(file: Path) -> tuple[dict[str, Tensor], AtomNetConfig]:
    try:
        with torch.serialization.safe_globals([(_Inert, name) for name in _PYTRACKING_CLASSES]):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{file} could not be read as weights ({reason}); nothing in it was run") from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict) and "settings" in content:
        return content["model"], AtomNetConfig.from_mapping(content["settings"]["model"])
    state = content.get("net", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not any(str(k).startswith("bb_regressor.") for k in state):
        raise UserError(f"{file} holds no ATOM network (no bb_regressor.* parameters)")
    return state, RESNET18
