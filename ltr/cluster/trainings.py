"""Trainings on a cluster: each is a process on one of its machines, and writes its folder, which all machines share."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ltr.cluster.connection import Cluster
from ltr.common.environment import PATH_NAMES, EnvironmentPathError, get_path
from ltr.common.files import writing
from ltr.common.locks import locked
from ltr.common.own_process import WorkerError

GPUS_PER_TRAINING = 1.0
_SECONDS = 10.0  # in which a shared folder shows a new file
_ENDING = 90.0  # seconds in which a process that lost its node saves its state


class _Taken(Exception):
    """Another process holds a lock."""


@dataclass(frozen=True)
class AsHere:
    """Makes a call on another machine with this one's paths and variables.

    Attributes:
        environment: variables to set, among them the folders of data sets.
        folder: where this process runs; relative paths count from it.
        token: a file in the folder of all trainings, which has to be seen there.
    """

    environment: Mapping[str, str]
    folder: Path
    token: Path

    def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        os.environ.update(self.environment)
        if self.folder.is_dir():
            os.chdir(self.folder)
        end = time.monotonic() + _SECONDS
        while not self.token.is_file():
            if time.monotonic() > end:
                raise WorkerError(
                    f"{socket.gethostname()} does not see {self.token.parent}: trainings need a folder that all "
                    "machines share; give one by --workspace"
                )
            time.sleep(_SECONDS / 10)
            with contextlib.suppress(OSError):
                os.listdir(self.token.parent)
        for argument in args:
            _await_end(getattr(argument, "folder", None))
        return function(*args)


@contextlib.contextmanager
def training_executors(cluster: Cluster, folder: Path, device: str, count: int, jobs: int | None) -> Iterator[Any]:
    """A block with how many trainings run at once, and what makes their executor, given that number.

    Args:
        folder: that holds the folders of all trainings, on a disk that all machines share.
        device: of the settings.
        count: of trainings.
        jobs: how many at once; None for as many as there is room for.

    Raises:
        UserError: if the cluster has no room, or no GPU, for a training, or the folder cannot be written.
    """
    from ltr.cluster.executor import RayExecutor

    gpus = cluster.gpus(device, GPUS_PER_TRAINING)
    at_once = max(1, min(cluster.capacity(gpus), count, jobs or count))
    token = folder.absolute() / f".cluster-{secrets.token_hex(6)}"
    with writing(token, "choose another --workspace"):
        folder.mkdir(parents=True, exist_ok=True)
        token.touch()
    try:
        around = AsHere(_environment(), Path.cwd(), token)
        yield at_once, partial(RayExecutor, gpus=gpus, cores=cluster.cores_each(at_once), around=around)
    finally:
        with contextlib.suppress(OSError):
            token.unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    """Variables of ours, with the folders of all data sets that are set here."""
    found = {name: value for name, value in os.environ.items() if name.startswith("EBM_")}
    for name in PATH_NAMES:
        with contextlib.suppress(EnvironmentPathError):
            found[f"EBM_{name.upper()}"] = str(get_path(name).absolute())
    return found


def _await_end(folder: Path | None) -> None:
    """Waits for a process that has lost its node in the middle of this training, and saves its state."""
    end = time.monotonic() + _ENDING
    while folder is not None and folder.is_dir() and time.monotonic() < end:
        try:
            with locked(folder / ".lock", _refuse):
                return
        except _Taken:
            time.sleep(1.0)


def _refuse() -> None:
    raise _Taken
