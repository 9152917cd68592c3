"""ATOM's network, a frozen backbone with the box network on top, and its files."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, nn

from ltr.common.errors import UserError
from ltr.common.files import write_bytes, writing
from ltr.common.plain import from_json, to_plain
from ltr.models.backbone import BACKBONES, build_backbone
from ltr.models.bbreg.atom_iou_net import AtomIoUNet
from ltr.models.bbreg.pytracking_file import STAND_INS, atom_weights, is_from_pytracking
from ltr.models.file_checks import weights_problem
from ltr.models.weights_file import is_state_dict, read_pickle, read_safetensors, state_dict_mismatch


@dataclass(frozen=True)
class AtomNetConfig:
    """The configuration of the network; it is saved with the weights."""

    backbone: str = "efficientnet_lite0"
    """Name of the backbone."""
    channels: tuple[int, int] = (128, 128)
    """Channels of the test branch at strides 8 and 16 (ATOM on ResNet-18: 256, 256)."""
    hidden: tuple[int, int] = (256, 256)
    """Width of the linear blocks (ATOM: 256, 256)."""

    @classmethod
    def from_mapping(cls, values: Any) -> "AtomNetConfig":
        """The configuration in a file's plain data.

        Raises:
            ValueError: if it is not such a mapping.
        """
        try:
            config = cls(values["backbone"], tuple(values["channels"]), tuple(values["hidden"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"it has no configuration of this network: {error!r}") from error
        if not isinstance(config.backbone, str) or config.backbone not in BACKBONES:
            raise ValueError(f"there is no backbone {config.backbone!r}; there are: {', '.join(BACKBONES)}")
        for pair in (config.channels, config.hidden):
            if len(pair) != 2 or not all(type(n) is int and n > 0 for n in pair):
                raise ValueError(f"two positive whole numbers were expected, not {pair}")
        return config


RESNET18 = AtomNetConfig(backbone="resnet18", channels=(256, 256), hidden=(256, 256))
"""The network of ATOM and of the paper."""


class AtomNet(nn.Module):
    """Backbone and box network under PyTracking's names (`feature_extractor`, `bb_regressor`).

    Attributes:
        config: its configuration.
        notes: the file's description of the training (settings and versions as JSON, epochs, `trained_by`).
    """

    def __init__(self, config: AtomNetConfig, imagenet: bool = True, backbone_weights: Path | None = None):
        super().__init__()
        self.config = config
        self.notes: dict[str, str] = {}
        self.feature_extractor = (
            build_backbone(config.backbone, imagenet, backbone_weights).requires_grad_(False).eval()
        )
        out, first = self.feature_extractor.out_channels, self.feature_extractor.first_cell
        self.bb_regressor = AtomIoUNet(
            (out["stride8"], out["stride16"]), config.channels, config.hidden, (first["stride8"], first["stride16"])
        )

    def train(self, mode: bool = True) -> "AtomNet":
        """As `nn.Module.train`, but the frozen backbone stays in evaluation mode, with ImageNet's statistics.

        PyTracking differs: it also puts the frozen backbone's batch norms in training mode.
        """
        super().train(mode)
        self.feature_extractor.eval()
        return self


def save_head(net: AtomNet, file: Path, half: bool = True, notes: dict[str, str] | None = None) -> None:
    """Saves the box network of `net`, without the backbone, as safetensors with its configuration in the header.

    Args:
        net: with the box network.
        file: to write.
        half: whether to save in half precision, except tensors that would overflow.
        notes: further entries of the header.

    Raises:
        UserError: if the file cannot be written.
    """
    state = {k: v.detach().contiguous().cpu() for k, v in net.bb_regressor.state_dict().items()}
    if half:
        state = {k: _half(v) for k, v in state.items()}
    header = {**(notes or {}), "format": "ebm-regression atom head", "config": json.dumps(asdict(net.config))}
    with writing(file, "name another file"):
        write_bytes(file, safetensors.torch.save(state, header))


def _half(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point() or not torch.isfinite(tensor.half()).all():
        return tensor
    return tensor.half()


def load_atom_net(file: Path | str, backbone_weights: Path | None = None, backbone: str | None = None) -> AtomNet:
    """Loads a trained network, in evaluation mode, from any of four kinds of file.

    - `.safetensors` of :func:`save_head` (the shipped heads);
    - `.safetensors` with the final weights of `ebm-train`;
    - a checkpoint of `ebm-train` (`.pth`);
    - a PyTracking checkpoint of its ResNet-18 ATOM network (`.pth`, `.pth.tar`), by parameter names: the published one,
      one of its trainer, or the state dict alone.

    Files are data: pickles are read with `weights_only`, and inert stand-ins replace PyTracking's classes.

    Args:
        file: to load.
        backbone_weights: ImageNet weights of the backbone, for a file that holds only the head.
        backbone: the expected backbone; a file with another one is refused.

    Raises:
        UserError: if the file is missing, corrupt, of another network or another backbone, or a pickle that would run
            code.
    """
    file = Path(file)
    state, config, notes = _read(file)
    if backbone is not None and config.backbone != backbone:
        raise UserError(f"{file} was trained on the backbone {config.backbone}, but {backbone} was asked for")

    problem = weights_problem(state)
    if problem:
        raise UserError(f"{file} is damaged: {problem}")
    problem = _head_mismatch(config, state)
    if problem:
        raise UserError(f"{file} is of another network: {problem}")
    holds_backbone = any(k.startswith("feature_extractor.") for k in state)
    net = AtomNet(config, imagenet=not holds_backbone, backbone_weights=backbone_weights)
    own = net.state_dict()
    if not holds_backbone:
        own = {k: v for k, v in own.items() if k.startswith("bb_regressor.")}
    problem = state_dict_mismatch(own, state)
    if problem:
        raise UserError(f"{file} is of another network: {problem}")
    state = {k: v for k, v in state.items() if k in own}
    net.load_state_dict({**net.state_dict(), **{k: v.to(own[k].dtype) for k, v in state.items()}})
    net.notes = notes
    return net.eval()


def _head_mismatch(config: AtomNetConfig, state: dict[str, Tensor]) -> str | None:
    """Why a state dict does not fit the box network of a configuration; None if it fits.

    No memory is taken: a network of the size that a file only claims to have could be of any size.
    """
    inputs = []
    for name in ("bb_regressor.conv3_1t.0.weight", "bb_regressor.conv4_1t.0.weight"):
        if name not in state or state[name].ndim != 4:
            return f"{name} is missing"
        inputs.append(state[name].shape[1])
    try:
        with torch.device("meta"):
            head = AtomIoUNet((inputs[0], inputs[1]), config.channels, config.hidden)
    except (RuntimeError, TypeError, OverflowError, ZeroDivisionError):
        return f"there can be no network of {max(config.channels + config.hidden)} channels"
    return state_dict_mismatch({f"bb_regressor.{k}": v for k, v in head.state_dict().items()}, state)


def trained_by_pytracking(file: Path) -> bool:
    """Whether PyTracking trained the network in a file, or in the checkpoint from which it was exported.

    Raises:
        UserError: as :func:`load_atom_net`.
    """
    return _PYTRACKING.items() <= _read(file).notes.items()


class _Stored(NamedTuple):
    """The content of a file: configuration, notes and state dict of an AtomNet, with or without the backbone."""

    state: dict[str, Tensor]
    config: AtomNetConfig
    notes: dict[str, str]


_PYTRACKING = {"trained_by": "PyTracking"}
"""The note of a network that PyTracking trained."""


def _read(file: Path) -> _Stored:
    if not file.is_file():
        raise UserError(f"there is no checkpoint {file}; train one with ebm-train or name another file")
    read = _read_safetensors if file.suffix == ".safetensors" else _read_pickle
    try:
        return read(file)
    except ValueError as error:
        raise UserError(f"{file} is of another network: {error}") from error


# Both readers raise UserError if the file cannot be read, and ValueError if it holds something else.


def _read_safetensors(file: Path) -> _Stored:
    header, state = read_safetensors(file)
    notes = {k: v for k, v in header.items() if k not in ("format", "config")}
    if "config" in header:
        state = {f"bb_regressor.{k}": v for k, v in state.items()}
        return _Stored(state, AtomNetConfig.from_mapping(_json(header["config"])), notes)
    return _Stored(state, AtomNetConfig.from_mapping(_model_settings(_json(header.get("settings", "null")))), notes)


def _read_pickle(file: Path) -> _Stored:
    content = read_pickle(file, STAND_INS)
    if isinstance(content, dict) and is_state_dict(content.get("model")):
        config = AtomNetConfig.from_mapping(_model_settings(content.get("settings")))
        notes = {k: json.dumps(to_plain(content[k])) for k in ("settings", "versions") if k in content}
        position = content.get("position")
        if isinstance(position, dict) and "epoch" in position:
            notes["epochs"] = str(position["epoch"])
        return _Stored(content["model"], config, notes)
    state = atom_weights(content)
    return _Stored(state, RESNET18, dict(_PYTRACKING) if is_from_pytracking(content) else {})


def _json(text: str) -> Any:
    try:
        return from_json(text)
    except ValueError as error:
        raise ValueError(f"its header is no JSON ({error})") from error


def _model_settings(settings: Any) -> Any:
    """The network's part of a training's settings."""
    if not isinstance(settings, dict) or "model" not in settings:
        raise ValueError("it does not say how the network was configured")
    return settings["model"]
