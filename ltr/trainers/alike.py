"""What the processes of a training must have in common: programs, settings and data."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ltr.common.errors import UserError
from ltr.common.plain import to_plain
from ltr.common.provenance import git_commit, library_versions
from ltr.common.settings import TrainSettings
from ltr.trainers.processes import Processes
from ltr.trainers.task import Task

_OF_A_MACHINE = {"device", "workers", "workspace", "log_every", "checkpoint_minutes", "timeout_minutes"}
_PROBES = 8  # samples that are compared
_SMALL = 400  # numbers of what is compared of a sample: boxes and labels; pixels may be rounded differently


def check_same_programs(processes: Processes, settings: TrainSettings, device: str) -> None:
    """Check that all processes have the same versions, settings and kind of device.

    Raises:
        UserError: if they do not.
    """
    if processes.world == 1:
        return
    versions, commit = library_versions(), git_commit()
    if None not in processes.gather(commit):  # all run from a checkout, whose installed version says little
        versions["commit"] = str(commit)
    _check(processes, versions, "install the same versions on all machines")
    _check(processes, {"device": device}, "give all the same --device")
    _check(processes, shared_settings(settings), "give all the same settings")


def check_same_data(processes: Processes, settings: TrainSettings, task: Task) -> None:
    """Check that all processes see the same data: their number, and boxes and labels of some samples.

    Raises:
        UserError: if they do not, or a sample cannot be read.
    """
    if processes.world == 1:
        return
    about: dict[str, Any] = {}
    with processes.together():
        if processes.is_first_of_machine:
            about["samples_per_epoch"] = settings.samples_per_epoch
            about |= _digests("training", task.train_data, settings.samples_per_epoch)
            if task.val_data is not None:
                length = len(task.val_data)  # type: ignore[arg-type]
                about["validation samples"] = length
                about |= _digests("validation", task.val_data, length)
    _check(processes, about, "give all machines the same data")


def shared_settings(settings: Any, prefix: str = "") -> dict[str, Any]:
    """The settings that all processes must share, by name: not what a machine decides, such as where its data are."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(settings):
        value = getattr(settings, f.name)
        if dataclasses.is_dataclass(value):
            found |= shared_settings(value, f"{prefix}{f.name}.")
        elif f.name not in _OF_A_MACHINE and "Path" not in str(f.type):
            found[f"--{prefix}{f.name}"] = to_plain(value)
    return found


def _check(processes: Processes, about: dict[str, Any], remedy: str) -> None:
    everyone = processes.gather((processes.name, about))
    with processes.together():
        if processes.is_first:
            for name, theirs in everyone[1:]:
                for key in [key for key in about if theirs and theirs.get(key) != about[key]][:1]:
                    raise UserError(f"{name} has {key} {theirs.get(key)}, and {processes.name} {about[key]}: {remedy}")


def _digests(name: str, data: Dataset, length: int) -> dict[str, str]:
    """Those of a few of the first `length` samples, evenly spread."""
    numbers = np.linspace(0, length - 1, min(length, _PROBES)).round().astype(int).tolist()
    return {f"{name} sample {k}": _digest(data[k]) for k in numbers}


def _digest(sample: Any) -> str:
    """A few letters that differ where the small numbers of two samples do."""
    digest = hashlib.sha256()
    for key, value in sorted(sample.items()) if isinstance(sample, dict) else ():
        number = torch.as_tensor(value) if isinstance(value, Tensor | int | float | np.ndarray) else None
        if number is not None:
            digest.update(f"{key} {list(number.shape)}".encode())
            if number.numel() <= _SMALL:
                digest.update(number.double().numpy().round(3).tobytes())
    return digest.hexdigest()[:8]
