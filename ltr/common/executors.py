"""Executors, of the shape of concurrent.futures, whose calls are made by processes here or on other machines.

A crash, a lack of memory or the loss of a machine costs one call: it is made again elsewhere, if the executor does so,
and at last it alone fails. (An executor of the standard library breaks as a whole when one of its processes is killed,
and does not say which call that one had.)
"""

from __future__ import annotations

import os
import pickle
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, Protocol

from ltr.common.errors import UserError
from ltr.common.own_process import Made, OwnProcess, WorkerDied, WorkerError

_SECONDS = 0.2  # between two looks at what a worker and its caller want


class Worker(Protocol):
    """What makes one call at a time: :class:`ltr.common.own_process.OwnProcess`, or one far away."""

    def begin(self, call: bytes) -> None: ...

    def receive(self, seconds: float) -> list[bytes]: ...

    def interrupt(self) -> None: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


Tell = Callable[[str, Future | None, Any], None]
"""Is told, in any thread, what happens besides the end of calls:

    ready, None, about          a worker can make calls; `about` is what it says of itself
    reports, future, list       what a call has reported since the last time
    again, future, sentence     the worker of a call has died, and why; the call will be made again from its beginning
"""


@dataclass
class _Call:
    future: Future
    args: tuple[Any, ...]
    content: bytes
    deaths: int = 0


class WorkerExecutor(Executor):
    """Makes calls by workers. The function, its arguments and its value are pickled.

    Its futures raise, besides what the call raises: :class:`WorkerDied`, if the worker died each time that the call was
    made; :class:`WorkerError`, if there are no workers. A call's UserError comes as such, other errors as RuntimeError.

    Args:
        jobs: how many workers there are.
        make: what each worker calls once. It returns what is the first argument of all calls (the second is a function,
            whose argument is reported), and what the worker says of itself. Without it calls have only the arguments
            that are given, and each is made in a new process.
        tell: is told what happens.
        tries: how often a call is made whose worker dies.
        before: is called in the thread of a worker, just before it begins a call, with the call's own arguments. If it
            returns False, the call is not made, and its value is None; if it raises, the call fails.

    Attributes:
        error: why there are no workers, or None.
    """

    def __init__(
        self,
        jobs: int,
        make: Made | None = None,
        tell: Tell | None = None,
        before: Callable[..., bool] | None = None,
        tries: int = 1,
    ) -> None:
        self._jobs, self._tries, self._before = jobs, tries, before
        self._make = None if make is None else pickle.dumps(make)
        self._tell: Tell = tell or (lambda kind, future, content: None)
        self._calls: deque[_Call] = deque()
        self._change = threading.Condition()
        self._ended, self._interrupted, self._killed = False, False, False
        self._unfinished = 0
        self.error: BaseException | None = None
        self._threads: list[threading.Thread] = []

    def start_worker(self, number: int) -> Worker:
        """Starts the worker `number` of `jobs`, and does not wait for it.

        Raises:
            WorkerError: if there can be none.
        """
        raise NotImplementedError

    def begin(self, worker: Worker, args: Sequence[Any], call: bytes) -> None:
        """Has a worker begin a call, of which these are the own arguments."""
        worker.begin(call)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        call = _Call(Future(), args, pickle.dumps((fn, args, kwargs)))
        with self._change:
            if self._ended:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self.error is not None:
                call.future.set_exception(self.error)
                return call.future
            self._calls.append(call)
            self._unfinished += 1
            if len(self._threads) < min(self._jobs, self._unfinished):
                name = f"worker {len(self._threads)}"
                thread = threading.Thread(target=self._serve, args=(len(self._threads),), name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
            self._change.notify_all()
        return call.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._change:
            self._ended = True
            if cancel_futures:
                self._cancel()
            self._change.notify_all()
        if wait:
            for thread in self._threads:
                thread.join()

    def interrupt(self) -> None:
        """Cancels calls that have not begun; the processes of the others receive SIGINT, as by Ctrl-C."""
        with self._change:
            self._interrupted = True
            self._cancel()
            self._change.notify_all()

    def kill(self) -> None:
        """Ends all processes at once."""
        self.interrupt()
        self._killed = True

    def _cancel(self) -> None:
        for call in self._calls:
            if not call.future.cancel():  # it has begun once already
                call.future.set_exception(WorkerDied("its worker died, and the run was stopped"))
            self._unfinished -= 1
        self._calls.clear()

    # --- in the thread of a worker

    def _serve(self, number: int) -> None:
        worker: Worker | None = None
        deaths = 0
        try:
            while not self._is_over():
                if worker is None:
                    worker = self.start_worker(number)
                    died = self._await(worker)
                    if died is not None:
                        worker.kill()
                        worker, deaths = None, deaths + 1
                        if deaths >= self._tries and not self._is_over():
                            raise WorkerError(f"a worker could not start: {died}")
                        continue
                    deaths = 0
                call = self._next()
                if call is not None and not self._do_or_fail(worker, call):
                    worker.close()
                    worker = None
        except BaseException as error:
            self._fail(error)
        finally:
            if worker is not None:
                worker.close()

    def _is_over(self) -> bool:
        """Whether there is nothing to do for a worker, now and later."""
        with self._change:
            return self._interrupted or self.error is not None or (self._ended and not self._unfinished)

    def _await(self, worker: Worker) -> str | None:
        """Waits until a worker is ready; why it has died, if it has, or is not needed any more."""
        while not self._is_over():
            for kind, content in self._said_by(worker):
                if kind == "ready":
                    self._tell("ready", None, content)
                    return None
                if kind == "died":
                    return content
                raise (
                    WorkerError(content) if kind == "refused" else RuntimeError(f"a worker could not start:\n{content}")
                )
        return "it is not needed any more"

    def _next(self) -> _Call | None:
        with self._change:
            while not self._calls:
                if self._is_over():
                    return None
                self._change.wait()
            call = self._calls.popleft()
            if call.deaths or call.future.set_running_or_notify_cancel():
                return call
            self._unfinished -= 1
            return None

    def _do_or_fail(self, worker: Worker, call: _Call) -> bool:
        """Makes a call, if it is to be made; returns whether the worker can make others."""
        try:
            if self._before is not None and not self._before(*call.args):
                self._finish(call, None)
                return True
        except Exception as error:
            self._finish(call, None, error)
            return True
        try:
            return self._do(worker, call)
        except BaseException as error:  # such as that of who is told
            self._fail(error)
            self._finish(call, None, error)
            worker.kill()
            return False

    def _do(self, worker: Worker, call: _Call) -> bool:
        self.begin(worker, call.args, call.content)
        told = False
        while True:
            if self._interrupted and not told:
                worker.interrupt()
                told = True
            if self._killed:
                worker.kill()
            said = self._said_by(worker)
            reports = [content for kind, content in said if kind == "report"]
            if reports:
                self._tell("reports", call.future, reports)
            for kind, content in said:
                if kind == "value":
                    self._finish(call, content)
                    return True
                if kind in ("error", "bug"):
                    self._finish(call, None, UserError(content) if kind == "error" else RuntimeError(content))
                    return True
                if kind == "died":
                    self._mourn(call, content)
                    return False
                if kind == "refused":
                    raise WorkerError(content)

    def _said_by(self, worker: Worker) -> list[tuple[str, Any]]:
        return [_understood(message) for message in worker.receive(_SECONDS)]

    def _mourn(self, call: _Call, cause: str) -> None:
        call.deaths += 1
        if call.deaths < self._tries and not self._interrupted:
            self._tell("again", call.future, cause)
            with self._change:
                if not self._is_over():  # since then: nobody would make the call
                    self._calls.appendleft(call)
                    self._change.notify_all()
                    return
        times = f" (each of {call.deaths} times)" if call.deaths > 1 else ""
        self._finish(call, None, WorkerDied(f"{cause}{times}"))

    def _finish(self, call: _Call, value: Any, error: BaseException | None = None) -> None:
        if error is None:
            call.future.set_result(value)
        else:
            call.future.set_exception(error)
        with self._change:
            self._unfinished -= 1
            self._change.notify_all()

    def _fail(self, error: BaseException) -> None:
        """Ends all calls with an error that is of none of them."""
        with self._change:
            self.error = self.error or error
            calls = list(self._calls)
            self._calls.clear()
            self._unfinished -= len(calls)
            self._change.notify_all()
        for call in calls:
            if call.deaths or call.future.set_running_or_notify_cancel():
                call.future.set_exception(self.error)


class ProcessExecutor(WorkerExecutor):
    """Makes calls in processes of this machine, which share its cores.

    With several GPUs, a process sees one of them, and `jobs` share them evenly.

    Args:
        share_gpus: False lets each process see all GPUs.
    """

    def __init__(
        self,
        jobs: int,
        make: Made | None = None,
        tell: Tell | None = None,
        before: Callable[..., bool] | None = None,
        tries: int = 1,
        *,
        share_gpus: bool = True,
    ) -> None:
        super().__init__(jobs, make, tell, before, tries)
        gpus = visible_gpus() if share_gpus else []
        self._gpus = gpus if len(gpus) > 1 else []

    def start_worker(self, number: int) -> OwnProcess:
        from ltr.common.provenance import usable_cores

        threads = max(1, usable_cores() // self._jobs) if self._jobs > 1 else None
        gpu = self._gpus[number % len(self._gpus)] if self._gpus else None
        return OwnProcess(self._make, threads, gpu)


def visible_gpus() -> list[str]:
    """The names of the CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    import torch

    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return chosen.split(",")[:count] if chosen else [str(number) for number in range(count)]


def _understood(message: bytes) -> tuple[str, Any]:
    try:
        return pickle.loads(message)
    except Exception as error:
        return "bug", f"what a worker said cannot be read: {type(error).__name__}: {error}"
