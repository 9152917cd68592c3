"""The executor of a Ray cluster."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from ltr.cluster.agreement import Agreeing, agreeing_call, own_versions
from ltr.cluster.remote_process import RemoteProcess
from ltr.common.executors import Tell, Worker, WorkerExecutor
from ltr.common.own_process import Made, WorkerError, said

TRIES = 3
_LISTENING = 1.0  # seconds in which a worker waits for something to say
_ENDING = 5.0  # seconds in which it has to end
_CHECKING = 5.0  # seconds between two looks at the own node
_PART = 16 * 2**20  # bytes that are sent at once


class RayExecutor(WorkerExecutor):
    """Makes calls by workers on a cluster. A call whose worker is lost is made again elsewhere.

    Connect first (:func:`ltr.cluster.connection.connected`). Workers with other versions than this machine's are
    refused: all calls then raise WorkerError.

    Args:
        jobs: how many workers there are, at most; those that the cluster has no room for wait for it.
        gpus: of a worker, such as 0.25.
        cores: of a worker.
        send: the files that a call reads, given its arguments: the name of a folder, and where they lie here. The call
            finds them by :func:`ltr.cluster.remote_process.place`. None if all machines see them.
        around: makes the calls there, given function and arguments; with `make`, it calls that.
    """

    def __init__(
        self,
        jobs: int,
        make: Made | None = None,
        tell: Tell | None = None,
        before: Callable[..., bool] | None = None,
        *,
        gpus: float = 0.0,
        cores: int = 1,
        around: Callable[..., Any] | None = None,
        send: Callable[..., tuple[str, Sequence[Path]]] | None = None,
    ) -> None:
        self._versions = own_versions()
        if make is not None:
            make = Agreeing(make if around is None else partial(around, make), self._versions)
        super().__init__(jobs, make, tell, before, TRIES)
        self._send, self._around, self._cores = send, around, cores
        self._node, self._checked = ray.get_runtime_context().get_node_id(), 0.0
        self._actor: Any = ray.remote(RemoteProcess).options(
            num_cpus=cores, num_gpus=gpus, max_restarts=0, max_concurrency=4
        )

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        if self._make is None:
            around = () if self._around is None else (self._around,)
            return super().submit(agreeing_call, self._versions, *around, fn, *args, **kwargs)
        return super().submit(fn, *args, **kwargs)

    def start_worker(self, number: int) -> RemoteWorker:
        return RemoteWorker(self._actor.remote(self._make, self._cores), self._check_connection)

    def begin(self, worker: Worker, args: Sequence[Any], call: bytes) -> None:
        if self._send is not None and isinstance(worker, RemoteWorker):
            worker.send_files(*self._send(*args))
        worker.begin(call)

    def _check_connection(self) -> None:
        """Raises WorkerError if the part of the cluster is lost that this process belongs to: no worker starts then."""
        if time.monotonic() < self._checked + _CHECKING:
            return
        self._checked = time.monotonic()
        if not any(node["Alive"] and node["NodeID"] == self._node for node in ray.nodes()):
            raise WorkerError(
                "the cluster has lost the node to which this command is connected; what is finished is kept, and the "
                "same command continues when the cluster is there again"
            )


class RemoteWorker:
    """A worker on some machine of the cluster.

    Args:
        actor: a :class:`RemoteProcess` there.
        check: is called now and then while it says nothing; it may raise.
    """

    def __init__(self, actor: Any, check: Callable[[], None]) -> None:
        self._actor, self._check = actor, check
        self._pending: Any = None
        self._host: Any = actor.host.remote()

    def begin(self, call: bytes) -> None:
        with contextlib.suppress(RayError):  # `receive` says so
            ray.get(self._actor.begin.remote(call))

    def receive(self, seconds: float) -> list[bytes]:
        try:
            if self._pending is None:
                self._pending = self._actor.receive.remote(_LISTENING)
            done, _ = ray.wait([self._pending], timeout=seconds)
            if not done:
                self._check()
                return []
            self._pending, found = None, ray.get(self._pending)
            return found
        except RayActorError as error:
            if "creation task" in str(error):  # such as a package that is missing there
                lines = [line for line in str(error).splitlines() if line.strip()]
                return [said("refused", f"a worker could not start: {lines[-1].strip()}")]
            return [said("died", f"its worker{self._where()} was lost")]
        except RayError as error:
            return [said("died", f"its worker{self._where()} was lost ({type(error).__name__})")]

    def send_files(self, folder: str, files: Sequence[Path]) -> None:
        """Sends files; those that cannot be read are left out, and missed by the call."""
        with contextlib.suppress(RayError):
            first = True
            for part in _parts(files):
                ray.get(self._actor.take_files.remote(folder, part, first))
                first = False

    def interrupt(self) -> None:
        with contextlib.suppress(RayError):
            self._actor.interrupt.remote()

    def kill(self) -> None:
        self._end(at_once=True)

    def close(self) -> None:
        self._end(at_once=False)

    def _end(self, at_once: bool) -> None:
        with contextlib.suppress(RayError, GetTimeoutError):
            ready, _ = ray.wait([self._host], timeout=0)  # one that waits for room has nothing to end
            if ready:
                ray.get(self._actor.end.remote(at_once), timeout=_ENDING)
        with contextlib.suppress(Exception):  # it is dead already, or the cluster is
            ray.kill(self._actor)

    def _where(self) -> str:
        with contextlib.suppress(RayError, GetTimeoutError):
            return f" on {ray.get(self._host, timeout=0.1)}"
        return ""


def _parts(files: Sequence[Path]) -> Iterator[list[tuple[str, bytes]]]:
    """Files with their contents, in parts of a size that fits everywhere; at least one part."""
    part: list[tuple[str, bytes]] = []
    size = 0
    for file in files:
        if not file.is_file():
            continue
        with contextlib.suppress(OSError):
            content = file.read_bytes()
            part.append((str(file.absolute()), content))
            size += len(content)
        if size >= _PART:
            yield part
            part, size = [], 0
    yield part
