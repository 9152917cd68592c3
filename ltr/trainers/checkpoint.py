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
from typing import Any

import torch
from torch import Tensor, nn

from ltr.common.errors import UserError
from ltr.common.files import replace_file, writing

logger = logging.getLogger(__name__)

FORMAT = "ebm-regression training checkpoint"
VERSION = 1
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
            torch.save(content, file)

    with writing(path, "choose another --workspace"):
        replace_file(path, write, keep)


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
        if not zipfile.is_zipfile(path):
            raise DamagedCheckpointError(f"{path} is damaged: it is not a complete PyTorch file. {_REMEDY}")
        with zipfile.ZipFile(path) as archive:  # PyTorch itself does not compare checksums when it reads
            bad = archive.testzip()
        if bad is not None:
            raise DamagedCheckpointError(f"{path} is damaged: wrong checksum in its part {bad}. {_REMEDY}")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} was not loaded: it holds Python objects, which can run code, and not plain data. {_REMEDY}"
        ) from error
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, ValueError, KeyError) as error:
        if isinstance(error, (FileNotFoundError, PermissionError)):
            raise CheckpointError(f"cannot open {path}: {error.strerror}.") from error
        raise DamagedCheckpointError(f"{path} is damaged and cannot be read. {_REMEDY}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of this trainer. {_REMEDY}")
    if content.get("version") != VERSION:
        found = content.get("version")
        raise CheckpointError(f"{path} has version {found} of the format, and this program reads {VERSION}. {_REMEDY}")
    return content


def read_latest(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest readable checkpoint of a folder and its path; None if there is none.

    If `last.pth` is damaged or missing, `previous.pth` takes its part, with a warning.

    Raises:
        CheckpointError: if none of the existing ones can be read, or one is no plain data.
    """
    last, previous = folder / "last.pth", folder / "previous.pth"
    if last.exists():
        try:
            return last, read_checkpoint(last)
        except DamagedCheckpointError as error:
            if not previous.exists():
                raise
            logger.warning("%s Continuing from %s, the one before it.", str(error).split(". ")[0] + ".", previous)
    if previous.exists():
        return previous, read_checkpoint(previous)
    return None


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

    Raises:
        CheckpointError: if it belongs to another network or optimiser.
    """
    try:
        optimizer.load_state_dict(saved)
    except (ValueError, KeyError) as error:
        raise CheckpointError(
            f"the optimiser's state in {path} does not fit this network ({error}): "
            "choose another --run_name, or start anew with --restart."
        ) from error
