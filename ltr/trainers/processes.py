"""The processes that torchrun started, on one machine or several: they agree before every step, and end together.

Before a step every process says whether it has its samples and whether it is to stop, and the first whether to save. So
all stop after the same step, the error of one is the error of all, and a process that has died is noticed. These few
numbers, statistics and objects go from CPU to CPU by gloo; gradients on GPUs go by NCCL.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from ltr.common.errors import UserError

T = TypeVar("T")
_START = "at the start"
_PATIENCE = timedelta(days=7)  # for what comes before the first step: a machine may compute caches for days
_OF_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
_LOST = re.compile("gloo|connection (closed|reset|refused|was)|timed out|broken pipe", re.IGNORECASE)
_NUMBERS = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1, "LOCAL_WORLD_SIZE": 1, "GROUP_WORLD_SIZE": 1}


class OtherProcessError(UserError):
    """The error of another process, for which this one must end too."""


class LostProcessError(OtherProcessError):
    """Another process has ended without a word, or is too slow."""


@dataclass(frozen=True)
class RollCall:
    """What the processes know of one another before a step.

    Attributes:
        stop: the signal on which all stop; None if they go on.
        save: whether the first process wants the state to be saved.
    """

    stop: int | None
    save: bool


def started_by_torchrun() -> bool:
    """Whether torchrun started this process; a cluster's scripts may set some of the same variables."""
    by_torchrun = distributed.is_available() and distributed.is_torchelastic_launched()
    return by_torchrun and all(name in os.environ for name in _OF_TORCHRUN)


class Processes:
    """This process and those that train with it.

    Args:
        minutes: that processes wait for one another within an epoch.

    Attributes:
        by_torchrun: whether torchrun started this process.
        world, rank: number of processes, and which of them this is.
        of_machine, local_rank: number of those of its machine, and which of them it is.
        machines: number of machines.
        name, names: of this process and of all, for messages.
        minutes: as given.

    Raises:
        UserError: if the number is out of its range, or the others cannot be reached.
    """

    def __init__(self, minutes: float) -> None:
        if not 0 < minutes < 1e6:
            raise UserError(f"--timeout_minutes is {minutes:g}; it must be positive, and less than a million.")
        self.by_torchrun = started_by_torchrun()
        self._parent = os.getppid()
        values = [int(os.environ.get(name, n)) if self.by_torchrun else n for name, n in _NUMBERS.items()]
        self.rank, self.local_rank, self.world, self.of_machine, self.machines = values
        self.name = f"process {self.rank} on {socket.gethostname()}"
        self.minutes = minutes
        self._messages: Any = None  # the group by which they go, patiently until the first step
        if self.world > 1:
            with self.connected(_START):
                if not distributed.is_initialized():
                    distributed.init_process_group("gloo", timeout=timedelta(minutes=minutes))
                self._messages = distributed.new_group(backend="gloo", timeout=_PATIENCE)
        self.names = self.gather(self.name)

    @property
    def is_first(self) -> bool:
        """Whether this process leads: it prints, and its checkpoints count."""
        return self.rank == 0

    @property
    def is_first_of_machine(self) -> bool:
        return self.local_rank == 0

    def close(self) -> None:
        """End the connections to the others."""
        if self.world > 1 and distributed.is_initialized():
            distributed.destroy_process_group()

    # --- messages

    def gather(self, value: T) -> list[T]:
        """The value of every process, in their order."""
        values: list[Any] = [value]
        if self.world > 1:
            values *= self.world
            with self.connected("where they wait for one another"):
                distributed.all_gather_object(values, value, group=self._messages)
        return values

    def send(self, value: T, source: int = 0) -> T:
        """The value of the process `source`."""
        values = [value]
        if self.world > 1:
            with self.connected("where they wait for one another"):
                distributed.broadcast_object_list(values, source, group=self._messages)
        return values[0]

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """A block that every process enters; they leave it together.

        Raises:
            UserError: if one leaves the block in any of them; :class:`OtherProcessError` in those where none did.
        """
        try:
            yield
        except UserError as error:
            self._raise(error)
        self._raise(None)

    def _raise(self, own: UserError | None) -> None:
        found = self.gather(None if own is None else str(own))
        problems = {name: problem for name, problem in zip(self.names, found, strict=True) if problem is not None}
        if not problems:
            return
        name, problem = next(iter(problems.items()))
        if own is not None and (name == self.name or problem != str(own)):
            raise own
        raise OtherProcessError(f"{name}: {problem}") from own

    def roll_call(self, stop: int | None, save: bool = False, error: UserError | None = None) -> RollCall:
        """Agree on what comes next; every process calls it.

        Args:
            stop: the signal that asks this process to stop.
            save: whether the state is to be saved; only the first process is heard.
            error: because of which this process cannot go on.

        Raises:
            UserError: if one cannot go on, or cannot be reached.
        """
        if self.by_torchrun and os.getppid() != self._parent:
            stop = signal.SIGTERM  # torchrun has died, and nobody would end this process
        if self.world > 1:
            mine = torch.tensor([stop or 0, save and self.is_first, error is not None])
            with self.connected("in a step"):
                distributed.all_reduce(mine, op=distributed.ReduceOp.MAX)
            self._messages = None  # PyTorch's first group, which waits for minutes only
            number, save, failed = mine.tolist()
            stop = number or None
            if failed:
                self._raise(error)
        elif error is not None:
            raise error
        return RollCall(stop, bool(save))

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor on the CPU over the processes."""
        return self.sum(values) / self.world if self.world > 1 else values

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor on the CPU over the processes."""
        if self.world > 1:
            with self.connected("in a step"):
                distributed.all_reduce(values)
        return values

    def share_buffers(self, module: nn.Module) -> None:
        """Give every process the first one's buffers: statistics of batch normalisation differ between them."""
        if self.world > 1:
            with self.connected("in a step"):
                for buffer in module.buffers():
                    on_cpu = buffer.detach().cpu()
                    distributed.broadcast(on_cpu, src=0)
                    if not self.is_first:
                        buffer.copy_(on_cpu)

    def gradient_group(self, kind: str) -> Any:
        """The group that averages gradients on devices of this kind; None for the one that there is already."""
        if self.world == 1 or kind != "cuda":
            return None
        with self.connected(_START):
            return distributed.new_group(backend="nccl", timeout=timedelta(minutes=self.minutes))

    @contextlib.contextmanager
    def connected(self, where: str | Callable[[], str]) -> Iterator[None]:
        """A block that exchanges something with the others.

        Raises:
            UserError: if they cannot be reached.
        """
        try:
            yield
        except RuntimeError as error:
            text = str(error)
            if self.world == 1 or not (isinstance(error, distributed.DistError) or _LOST.search(text)):
                raise
            place = where if isinstance(where, str) else where()
            raise LostProcessError(
                f"{self.name} cannot reach the others {place} ({_reason(text)}): {self._cause(place)}. "
                "The same command, on all machines, continues from the last checkpoint."
            ) from error

    def _cause(self, place: str) -> str:
        if place == _START and self.machines > 1 and "GLOO_SOCKET_IFNAME" not in os.environ:
            return "set GLOO_SOCKET_IFNAME to the network interface that leads from here to the others, as in eth0"
        return (
            "one has ended, for a reason that its own output says, or has taken longer than --timeout_minutes "
            f"{self.minutes:g}"
        )


def _reason(text: str) -> str:
    """The first sentence of an error of PyTorch, without the place in its source."""
    line = re.sub(r"^\[\S*?\] ", "", text.strip().splitlines()[0])
    return line.partition(". ")[0].rstrip(".")[:200]
