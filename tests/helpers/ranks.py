"""Processes that train together, with the variables that torchrun gives them; they start at once.

They are forks of a process that has imported the trainer and has computed nothing.
"""

import contextlib
import io
import multiprocessing
import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch

from ltr.common.errors import UserError
from tests.helpers.ports import free_port

TIMEOUT = 60
"""Seconds after which processes count as hanging."""


@dataclass
class Outcome:
    """How a process ended: with a value, with a user's error, or by a code, and what it printed."""

    value: Any = None
    error: str | None = None
    code: int | None = None
    output: str = ""


def run_ranks(
    function: Callable[..., Any],
    arguments: Sequence[tuple],
    machines: Sequence[int] | None = None,
    gpus: bool = False,
) -> list[Outcome]:
    """Calls a function of a module in several processes, one for each tuple of arguments.

    Args:
        function: is called.
        arguments: of each process.
        machines: number of processes of each machine; by default one each.
        gpus: whether they may see GPUs.
    """
    machines = machines or [1] * len(arguments)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ltr.trainers.trainer", "tests.helpers.tiny_training"])
    port = free_port()
    started = []
    for machine, of_machine in enumerate(machines):
        for local in range(of_machine):
            rank = len(started)
            variables = {
                "RANK": rank, "LOCAL_RANK": local, "WORLD_SIZE": len(arguments), "LOCAL_WORLD_SIZE": of_machine,
                "GROUP_RANK": machine, "GROUP_WORLD_SIZE": len(machines), "MASTER_PORT": port,
                **({} if gpus else {"CUDA_VISIBLE_DEVICES": ""}),
            }  # fmt: skip
            here, there = context.Pipe()
            process = context.Process(target=_work, args=(there, variables, function, arguments[rank]))
            process.start()
            there.close()
            started.append((process, here))
    outcomes = []
    for process, here in started:
        outcome = Outcome()
        if here.poll(TIMEOUT):
            with contextlib.suppress(EOFError):
                outcome = here.recv()
        process.join(TIMEOUT)
        if process.is_alive():
            process.kill()
        outcome.code = process.exitcode
        outcomes.append(outcome)
    return outcomes


def _work(there: Connection, variables: dict[str, Any], function: Callable[..., Any], arguments: tuple) -> None:
    os.environ.update({name: str(value) for name, value in variables.items()})
    os.environ.update(TORCHELASTIC_RUN_ID="tests", MASTER_ADDR="127.0.0.1")
    outcome, output = Outcome(), io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            outcome.value = function(*arguments)
        except UserError as error:
            outcome.error = str(error)
        except Exception:
            outcome.error = traceback.format_exc()
    outcome.output = output.getvalue()
    there.send(outcome)
    there.close()
    os._exit(0)


def gradient_over_nccl() -> list[float]:
    """A gradient that goes to an NCCL group beside the gloo group of all processes, as in a training on GPUs."""
    torch.distributed.init_process_group("gloo")
    group = torch.distributed.new_group(backend="nccl")
    module = torch.nn.Linear(3, 1, bias=False).cuda()
    wrapped = torch.nn.parallel.DistributedDataParallel(module, device_ids=[0], process_group=group)
    wrapped(torch.tensor([[1.0, 2.0, 3.0]], device="cuda")).sum().backward()
    return module.weight.grad[0].tolist()
