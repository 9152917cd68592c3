"""Sequences on the workers of a cluster: the same tracker and the same frames as on this machine."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ltr.cluster.connection import Cluster
from ltr.cluster.remote_process import place, sent_folder
from ltr.common.errors import UserError
from ltr.common.own_process import WorkerError
from pytracking.evaluation.datasets import TrackingSequence
from pytracking.evaluation.sequence_run import FrameResult
from pytracking.evaluation.workers import KeptTracker, SequenceWork, Workers
from pytracking.tracker.base import BaseTracker

GPUS_PER_WORKER = 0.25  # a tracker leaves a GPU idle most of the time


@dataclass(frozen=True)
class FarTracker:
    """A tracker on another machine, which has to load the very weights that this one would.

    Attributes:
        spec: of the tracker, a :class:`pytracking.evaluation.running.TrackerSpec`.
        weights: hashes of its weights here.
    """

    spec: Any
    weights: Mapping[str, str]

    @property
    def seed(self) -> int:
        return self.spec.seed

    def make(self) -> BaseTracker:
        """Makes it.

        Raises:
            WorkerError: if the weights are missing, or are others.
        """
        host = socket.gethostname()
        try:
            found = self.spec.made_with()["weights"]
        except UserError as error:
            raise WorkerError(f"on {host}: {error}; copy them to the same place on each machine") from error
        for name, digest in self.weights.items():
            if found.get(name) != digest:
                raise WorkerError(f"{host} has another file {name} of weights; copy this machine's to the same place")
        return self.spec.make()


@dataclass(frozen=True)
class FarSequences:
    """What a worker does with a sequence on another machine.

    Attributes:
        work: what it does on any.
        sent: whether frames are sent to it; otherwise it reads them where they lie here.
        run: names the folders of sent frames.
    """

    work: SequenceWork
    sent: bool
    run: str = field(default_factory=lambda: secrets.token_hex(4))

    def files(self, sequence: TrackingSequence) -> tuple[str, Sequence[Path]]:
        """The folder and the frames to send."""
        return f"{self.run}_{hashlib.sha256(sequence.name.encode()).hexdigest()[:8]}", sequence.frames

    def __call__(self, kept: KeptTracker, report: Callable[[FrameResult], None], sequence: TrackingSequence) -> None:
        if not self.sent:
            folder = sequence.frames[0].absolute().parent
            if not folder.is_dir():
                raise WorkerError(
                    f"{socket.gethostname()} does not see {folder}: share the folder at this very path, or send the "
                    "frames by --ship_data"
                )
            self.work(kept, report, sequence)
            return
        folder_name, frames = self.files(sequence)
        try:
            self.work(kept, report, replace(sequence, frames=[place(folder_name, frame) for frame in frames]))
        except UserError as error:
            raise UserError(str(error).replace(str(sent_folder(folder_name)), "")) from error
        finally:
            shutil.rmtree(sent_folder(folder_name), ignore_errors=True)


def on_cluster(cluster: Cluster, spec: Any, weights: Mapping[str, str], density: bool, most: int) -> Workers:
    """Workers for sequences on a cluster to which this process is connected.

    Args:
        spec: of the tracker, a :class:`pytracking.evaluation.running.TrackerSpec`.
        weights: hashes of its weights here.
        density: as of :class:`SequenceWork`.
        most: the largest number of workers; 0 for as many as there is room for.

    Raises:
        UserError: if the cluster has no room for a worker, or no GPU for it.
    """
    from ltr.cluster.executor import RayExecutor  # which needs Ray

    gpus = cluster.gpus(spec.device, GPUS_PER_WORKER)
    work = FarSequences(SequenceWork(density), cluster.ship_data)
    make_executor = partial(RayExecutor, gpus=gpus, send=work.files if work.sent else None)
    room = cluster.capacity(gpus)
    return Workers(work, FarTracker(spec, weights), make_executor, min(room, most) if most else room)
