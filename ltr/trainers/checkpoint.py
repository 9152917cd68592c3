"""Checkpoints of a training: plain data, written so that a killed process leaves a good one behind.

A folder holds `last.pth`, from which training continues, `previous.pth`, the one before in case `last.pth` is damaged,
and `best.pth`, the one of the best validation so far.
"""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import IO, Any

import torch
from lightning_fabric.plugins import Precision
from torch import Tensor, nn

from ltr.common.errors import UserError
from ltr.common.files import check_regular, replace_file, writing
from ltr.models.file_checks import archive_problem, content_problem, weights_problem
from ltr.trainers.checkpoint_parts import part_problem

logger = logging.getLogger(__name__)

FORMAT = "ebm-regression training checkpoint"
VERSION = 1
_ADAM = {"step", "exp_avg", "exp_avg_sq"}
_REMEDY = "Remove it, choose another --run_name, or start anew with --restart."


class CheckpointError(UserError):
    """A checkpoint cannot be used: it is damaged, of another program, or a pickle that would run code."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint is cut off or has wrong bytes."""


def save_checkpoint(path: Path, state: dict[str, Any], keep: Path | None = None) -> None:
    """Write `state` (tensors, dicts, lists, strings, numbers) whole or not at all.

    Args:
        path: the checkpoint.
        state: its content.
        keep: where the old content of `path` goes, if it is to be kept.

    Raises:
        UserError: if the file cannot be written.
    """
    content = {"format": FORMAT, "version": VERSION, **state}

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            _save(content, file)

    with writing(path, "choose another --workspace"):
        replace_file(path, write, keep)


class _Written:
    """A file that remembers why it could not be written, of which PyTorch's error may say nothing."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def _save(content: dict[str, Any], file: IO[bytes]) -> None:
    written = _Written(file)
    try:
        torch.save(content, written)  # type: ignore[arg-type]
    except RuntimeError:
        if written.error is None:
            raise
        raise written.error from None


def link_checkpoint(source: Path, path: Path, keep: Path | None = None) -> None:
    """Make `path` a second name of the file `source`, or a copy where the file system has no hard links.

    The two take the space of one. Later saves put new files under a name and leave the other's content as it is.

    Raises:
        UserError: if the file cannot be written.
    """

    def write(temporary: Path) -> None:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)

    with writing(path, "choose another --workspace"):
        replace_file(path, write, keep)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of :func:`save_checkpoint`, on the CPU and as data only.

    Raises:
        DamagedCheckpointError: if it is cut off or its bytes do not agree with their checksums.
        CheckpointError: if it cannot be opened, is no checkpoint of this trainer, or is a pickle that would run code.
    """
    try:
        check_regular(path)
        if not zipfile.is_zipfile(path):
            raise DamagedCheckpointError(f"{path} is damaged: it is not a complete PyTorch file. {_REMEDY}")
        problem = archive_problem(path)
        if problem is None:
            content = torch.load(path, map_location="cpu", weights_only=True)
            problem = content_problem(content)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} was not loaded: it holds Python objects, which can run code, and not plain data. {_REMEDY}"
        ) from error
    except OSError as error:
        raise CheckpointError(f"cannot open {path}: {error.strerror or error}.") from error
    except Exception as error:  # a damaged file can fail anywhere
        raise DamagedCheckpointError(f"{path} is damaged and cannot be read. {_REMEDY}") from error
    if problem:
        raise DamagedCheckpointError(f"{path} is damaged: {problem}. {_REMEDY}")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of this trainer. {_REMEDY}")
    if content.get("version") != VERSION:
        found = content.get("version")
        raise CheckpointError(f"{path} has version {found} of the format, and this program reads {VERSION}. {_REMEDY}")
    return content


def read_latest(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest readable checkpoint of a folder and its path; None if there is none.

    If `last.pth` is damaged or missing, `previous.pth` takes its part, with a warning.

    One is also damaged if parts are missing, or its weights are not finite.

    Raises:
        CheckpointError: if none of the existing ones can be read, or one is no plain data.
    """
    last, previous = folder / "last.pth", folder / "previous.pth"
    if last.exists():
        try:
            return last, _read_whole(last)
        except DamagedCheckpointError as error:
            if not previous.exists():
                raise
            logger.warning("%s Continuing from %s, the one before it.", str(error).split(". ")[0] + ".", previous)
    if previous.exists():
        return previous, _read_whole(previous)
    return None


def _read_whole(path: Path) -> dict[str, Any]:
    content = read_checkpoint(path)
    if problem := part_problem(content):
        raise DamagedCheckpointError(f"{path} is damaged: {problem}. {_REMEDY}")
    return content


def remove_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a folder, also damaged ones."""
    for name in ("last.pth", "previous.pth", "best.pth"):
        (folder / name).unlink(missing_ok=True)


def load_weights(model: nn.Module, saved: dict[str, Tensor], path: Path) -> None:
    """Load the weights of the checkpoint `path` into a network.

    Raises:
        CheckpointError: if they belong to another network.
    """
    own = model.state_dict()
    wrong = sorted(own.keys() ^ saved.keys())
    wrong += [name for name in own if name in saved and own[name].shape != saved[name].shape]
    if wrong:
        raise CheckpointError(
            f"{path} holds another network: {len(wrong)} tensors do not fit (the first is {wrong[0]}). "
            "Choose another --run_name, or start anew with --restart."
        )
    model.load_state_dict(saved)


def load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any], path: Path) -> None:
    """Load the state of the checkpoint `path` into an optimiser.

    The settings of the optimiser stay its own: only what it has learned is taken.

    Raises:
        CheckpointError: if it belongs to another network or optimiser, or is damaged.
    """
    own = optimizer.state_dict()["param_groups"]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in own for number in group["params"]]
    try:
        if [group["params"] for group in saved["param_groups"]] != [group["params"] for group in own]:
            raise ValueError("it is of other parameters")
        for number, parameter in zip(numbers, parameters, strict=True):
            learned = saved["state"].get(number, {})
            if learned and isinstance(optimizer, torch.optim.Adam) and not learned.keys() >= _ADAM:
                raise ValueError(f"it lacks a part for parameter {number}")
            tensors = {k: v for k, v in learned.items() if isinstance(v, Tensor)}
            if problem := weights_problem(tensors):
                raise ValueError(problem)
            if any(value.ndim and value.shape != parameter.shape for value in tensors.values()):
                raise ValueError(f"it has other shapes for parameter {number}")
        optimizer.load_state_dict({"state": saved["state"], "param_groups": own})
    except Exception as error:  # what is not as the optimiser wrote it can fail anywhere
        raise CheckpointError(
            f"the optimiser's state in {path} does not fit this network ({error}): "
            "choose another --run_name, or start anew with --restart."
        ) from error


def load_scaler(precision: Precision, saved: dict[str, Any], path: Path) -> None:
    """Load the factor of the gradients from the checkpoint `path`, which only half precision has.

    Raises:
        CheckpointError: if it is damaged.
    """
    try:
        if saved:
            precision.load_state_dict(saved)
    except Exception as error:  # what is not as the scaler wrote it can fail anywhere
        raise DamagedCheckpointError(f"{path} is damaged: its scaler cannot be used. {_REMEDY}") from error
