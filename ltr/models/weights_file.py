"""Reading weights from PyTorch's and safetensors files as data only. Every failure is one sentence."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeGuard

import safetensors
import torch
from torch import Tensor
from torchvision.models import WeightsEnum

from ltr.common.errors import UserError
from ltr.common.files import check_regular
from ltr.models.file_checks import archive_problem, content_problem, weights_problem


def read_pickle(file: Path, stand_ins: Mapping[str, type] | None = None) -> Any:
    """The content of a file of `torch.save`, on the CPU, read with `weights_only`: no code in the file is run.

    Args:
        file: to read.
        stand_ins: classes to create in place of those that the file names, by their full names.

    Raises:
        UserError: if the file is missing, damaged or truncated, or needs other classes or functions.
    """
    try:
        check_regular(file)
        if zipfile.is_zipfile(file) and (bad := archive_problem(file)):
            raise UserError(f"{file} is damaged: {bad}")
        named_classes: list[Any] = [(stand_in, name) for name, stand_in in (stand_ins or {}).items()]
        with torch.serialization.safe_globals(named_classes), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd pickle protocols
            content = torch.load(file, map_location="cpu", weights_only=True)
        if bad := content_problem(content):
            raise UserError(f"{file} was refused: {bad}")
        return content
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        newer = re.search(r"Unsupported operand (\d+)", str(error))
        if named is None and newer is not None and int(newer[1]) >= pickle.SHORT_BINUNICODE[0]:
            raise UserError(
                f"{file} was refused and nothing in it was run: it is damaged, or pickled in protocol 4 or newer, "
                "which cannot be read safely; save it again by torch.save without pickle_protocol"
            ) from error
        if named is None:
            raise UserError(f"{file} is damaged or no file of PyTorch") from error
        raise UserError(
            f"{file} was refused and nothing in it was run: it names {named[1]}, and anything but tensors and plain "
            "values could run code"
        ) from error
    except Exception as error:  # a damaged file can fail anywhere
        raise UserError(f"{file} is damaged or no file of PyTorch ({_reason(error)})") from error


def read_safetensors(file: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata and the tensors of a safetensors file.

    Raises:
        UserError: if the file is missing, damaged or something else, or a tensor holds a value that is not finite.
    """
    try:
        check_regular(file)
        with safetensors.safe_open(str(file), "pt") as archive:
            metadata, state = archive.metadata() or {}, {k: archive.get_tensor(k) for k in archive.keys()}  # noqa: SIM118
        problem = weights_problem(state)
    except OSError as error:
        raise UserError(f"{file} could not be read as safetensors: {error.strerror or _reason(error)}") from error
    except Exception as error:  # safetensors' own, and what PyTorch says of an odd type of numbers
        raise UserError(f"{file} could not be read as safetensors: {_reason(error)}") from error
    if problem:
        raise UserError(f"{file} is damaged: {problem}")
    return metadata, state


def read_state_dict(file: Path, name: str) -> dict[str, Tensor]:
    """A state dict from a file of PyTorch; `name` of the network is for messages.

    Raises:
        UserError: as :func:`read_pickle`, or the file holds no state dict, or one with values that are not finite.
    """
    state = read_pickle(file)
    if not is_state_dict(state):
        raise UserError(f"{file} does not hold the weights of {name}: it is no state dict")
    if problem := weights_problem(state):
        raise UserError(f"{file} is damaged: {problem}")
    return state


def download(weights: WeightsEnum, name: str, remedy: str) -> dict[str, Tensor]:
    """A state dict that torchvision publishes, from its server or its cache.

    Args:
        weights: torchvision's entry.
        name: of the network, for messages.
        remedy: what a user without network access can do.

    Raises:
        UserError: if there is no network, a connection breaks, or the hash is wrong.
    """
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, HTTPException, RuntimeError) as error:
        raise UserError(
            f"the weights of {name} could not be downloaded from {weights.url} ({error}); without network access, "
            f"{remedy}"
        ) from error


def downloaded(weights: WeightsEnum) -> Path:
    """Where :func:`download` keeps a state dict."""
    return Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]


def is_state_dict(value: Any) -> TypeGuard[dict[str, Tensor]]:
    """Whether a value is a dictionary of tensors by name."""
    return isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())


def state_dict_mismatch(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str | None:
    """Why `state` does not fit a network whose state dict is `own`; None if it fits. It may contain more tensors.

    The counters of batch norms (`num_batches_tracked`) may be missing: older files lack them, and a batch norm with a
    momentum does not use them.
    """
    for name, value in own.items():
        if name not in state:
            if name.endswith("num_batches_tracked"):
                continue
            return f"{name} is missing"
        if state[name].shape != value.shape:
            return f"{name} has shape {tuple(state[name].shape)}, not {tuple(value.shape)}"
    return None


def _reason(error: Exception) -> str:
    """The first non-empty line of PyTorch's long messages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
