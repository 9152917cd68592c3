"""The connection to a Ray cluster: `--cluster auto`, host:port or ray://host:port."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ltr.common.errors import UserError

START = "start one by 'ray start --head', and on further machines 'ray start --address HEAD:6379'"
_CLIENT_PORT = 10001
_SECONDS = 5.0  # for a machine to answer
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cluster:
    """A cluster to which this process is connected.

    Attributes:
        address: as it was given.
        gpus_per_worker: of a GPU or of several; None chooses (:meth:`gpus`).
        ship_data: send the files that workers read, rather than have them read where they lie.
    """

    address: str
    gpus_per_worker: float | None = None
    ship_data: bool = False

    def gpus(self, device: str | None, default: float) -> float:
        """How much of a GPU a worker gets, for a `--device`.

        Args:
            device: None and 'auto' take a GPU if the cluster has any.
            default: of a worker, where GPUs are used.

        Raises:
            UserError: if the cluster cannot give what is asked for.
        """
        if device not in (None, "auto", "cpu", "cuda"):
            raise UserError(f"--device {device} is no choice with --cluster, which gives workers their GPUs: take cuda")
        there = sum(node.get("GPU", 0.0) for node in _nodes())
        wanted = self.gpus_per_worker
        if device == "cpu":
            if wanted:
                raise UserError(f"--gpus_per_worker {wanted:g} contradicts --device cpu")
            return 0.0
        if device == "cuda" and wanted == 0:
            raise UserError("--gpus_per_worker 0 contradicts --device cuda")
        if not there and (device == "cuda" or wanted):
            raise UserError(f"the cluster {self.address} has no worker with a GPU; take --device cpu")
        return (default if there else 0.0) if wanted is None else wanted

    def capacity(self, gpus: float) -> int:
        """How many workers with so much of a GPU, and a core each, the cluster has room for.

        Raises:
            UserError: if there is room for none.
        """
        room = 0
        for node in _nodes():
            cores = int(node.get("CPU", 0))
            room += min(cores, _shares(node.get("GPU", 0.0), gpus)) if gpus else cores
        if not room:
            what = f"a core and {gpus:g} of a GPU" if gpus else "a core"
            raise UserError(f"no machine of the cluster {self.address} has {what} for a worker")
        return room

    def cores_each(self, workers: int) -> int:
        """How many cores each of so many workers can have."""
        nodes = [int(node.get("CPU", 0)) for node in _nodes()]
        return max(1, next(c for c in range(max(nodes), 0, -1) if sum(n // c for n in nodes) >= workers or c == 1))

    def about(self) -> dict[str, Any]:
        """For the record of a run."""
        import ray

        hosts = [node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]]
        return {"address": self.address, "nodes": hosts, "ray": ray.__version__}


def _shares(gpus: float, share: float) -> int:
    """How many workers fit: several share a GPU, or one has several whole ones."""
    return int(gpus) * int(1 / share + 1e-6) if share <= 1 else int(gpus // share)


def _nodes() -> list[dict[str, float]]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[Cluster]:
    """A block in which this process is connected to a cluster; at its end nothing of it is left there.

    Raises:
        UserError: if Ray is not installed, there is no cluster at the address, or it has another version of Ray or
            Python.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError:
        raise UserError("--cluster needs Ray: pip install 'ebm-regression[cluster]'") from None
    _check_answers(cluster.address)
    try:
        ray.init(
            address=cluster.address, log_to_driver=False, logging_level=logging.CRITICAL, namespace=f"ebm_{os.getpid()}"
        )
    except Exception as error:  # of many kinds
        raise UserError(_why_not(cluster.address, error)) from error
    _quiet(ray)
    try:
        yield cluster
    finally:
        ray.shutdown()


def _quiet(ray: Any) -> None:
    """Ray prints the log of a lost node, whatever is asked of it; our commands say it in a sentence."""
    worker: Any = getattr(getattr(ray, "_private", None), "worker", None)
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *data, **options: None


def _check_answers(address: str) -> None:
    """Raises at once if nothing listens at an address; Ray would try for a minute."""
    if address == "auto":
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon and address.startswith("ray://"):
        host, port = port, str(_CLIENT_PORT)
    if not host or not port.isdecimal():
        raise UserError(f"--cluster {address} is no address: give auto, HOST:PORT or ray://HOST:{_CLIENT_PORT}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"there is no cluster at {address} ({reason}); {START}") from None


def _why_not(address: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        return f"the cluster {address} has another version of Ray or Python: {text}"
    if address == "auto" and isinstance(error, ConnectionError):
        return f"this machine is in no cluster; {START}"
    return f"there is no cluster at {address}, of which this machine is a part ({text[:200]}); {START}"
