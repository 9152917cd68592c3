"""An executor that makes each call in a new process: a crash, or a lack of memory, ends that call alone."""

from __future__ import annotations

import _thread
import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ltr.common.errors import UserError

_SECONDS = 0.2  # between two looks at what a process and its caller want


class ProcessExecutor(Executor):
    """Makes calls in new processes, at most `jobs` at once. The function, its arguments and its value are pickled.

    With several GPUs, a process sees one of them, and `jobs` share them evenly; without one, processes share the cores.

    Args:
        jobs: how many processes there are at once.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._interrupted, self._killed = threading.Event(), threading.Event()
        self._gpus: queue.SimpleQueue[str] = queue.SimpleQueue()
        gpus = visible_gpus()
        for slot in range(jobs if len(gpus) > 1 else 0):
            self._gpus.put(gpus[slot % len(gpus)])
        self._pool = ThreadPoolExecutor(jobs)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        return self._pool.submit(self._call, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def interrupt(self) -> None:
        """Cancels calls that have not begun; the processes of the others receive SIGINT, as by Ctrl-C."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._interrupted.set()

    def kill(self) -> None:
        """Ends all processes at once."""
        self.interrupt()
        self._killed.set()

    def _call(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        gpu = None
        with contextlib.suppress(queue.Empty):
            gpu = self._gpus.get_nowait()
        try:
            return self._in_process(function, args, kwargs, gpu)
        finally:
            if gpu is not None:
                self._gpus.put(gpu)

    def _in_process(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], gpu: str | None
    ) -> Any:
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads, or a CUDA context, may hang
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(there, gpu, self._jobs, function, args, kwargs))
        process.start()
        there.close()
        with here:
            try:
                kind, value = self._await(process, here)
            finally:
                process.join()
        if kind == "value":
            return value
        raise UserError(value) if kind == "error" else RuntimeError(value)

    def _await(self, process: BaseProcess, connection: Connection) -> tuple[str, Any]:
        told = False
        while True:
            if connection in wait([connection, process.sentinel], _SECONDS):
                try:
                    return connection.recv()
                except (EOFError, OSError):  # it died
                    process.join()
                    return "error", _end(process.exitcode)
            if not process.is_alive() and not connection.poll():
                return "error", _end(process.exitcode)
            if self._interrupted.is_set() and not told:
                with contextlib.suppress(OSError):
                    connection.send("stop")
                told = True
            if self._killed.is_set():
                process.kill()


def visible_gpus() -> list[str]:
    """The names of the CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    import torch

    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return chosen.split(",")[:count] if chosen else [str(number) for number in range(count)]


def _end(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = "; where memory is short, run fewer at once" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with code {code}"


def _work(
    connection: Connection,
    gpu: str | None,
    jobs: int,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
) -> None:
    """What a process does: the call, until it is done or the process that wants it says stop, or dies."""
    if hasattr(os, "setsid"):
        os.setsid()  # a terminal's Ctrl-C reaches the command alone, which says what it means
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell's background ignores it
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    if jobs > 1 and "OMP_NUM_THREADS" not in os.environ:
        import torch  # which a call may do without, and which takes seconds

        torch.set_num_threads(max(1, torch.get_num_threads() // jobs))
    try:
        threading.Thread(target=_interrupt_when_told, args=(connection,), daemon=True).start()
        answer = "value", function(*args, **kwargs)
    except UserError as error:
        answer = "error", str(error)
    except KeyboardInterrupt:
        answer = "error", "interrupted"
    except Exception as error:
        answer = "bug", f"{type(error).__name__}: {error}"
    with contextlib.suppress(OSError):  # nobody waits for it any more
        connection.send(answer)


def _interrupt_when_told(connection: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):  # its end: the other process died
        connection.recv()
    if hasattr(signal, "pthread_kill"):  # interrupts its waiting too
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main(signal.SIGINT)
