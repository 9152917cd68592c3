"""A process of its own that makes calls for this one, and what both tell each other.

A call, and what the process says, are bytes here, so that a process on another machine can be reached through one that
does not understand them (:mod:`ltr.cluster`).
"""

from __future__ import annotations

import _thread
import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ltr.common.errors import UserError

_BATCH = 0.05  # seconds in which reports come together
_PATIENCE = 5.0  # seconds in which an idle process has to end by itself
_ENDING = 0.25
_SAVING = 60.0  # seconds in which one that lost its parent has to save its state
_STOP = b""


class WorkerError(UserError):
    """The workers cannot work, none of them."""


class WorkerDied(UserError):
    """The worker that made a call has died."""


class OwnProcess:
    """A process that makes one call at a time. What it says are pickled pairs (kind, content):

        ready, about        it can make calls
        refused, sentence   it cannot, or a call raised WorkerError
        broken, traceback   it cannot, by a mistake in the code
        report, content     what a call reports
        value, value        a call's end; or its error, a sentence for users; or a bug, of which this is the name
        died, sentence      the end of the process

    Args:
        make: pickled, what the process calls once: it returns what is the first argument of all calls (the second is a
            function that reports), and what it says of itself. None makes each call in a new process, with the
            arguments that it has.
        threads: for one process to compute with; fewer, if OMP_NUM_THREADS says so. None leaves them as they are.
        gpu: the GPU that it sees, as CUDA_VISIBLE_DEVICES has it; None for all.
    """

    def __init__(self, make: bytes | None, threads: int | None, gpu: str | None = None) -> None:
        self._make, self._threads, self._gpu = make, threads, gpu
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._last = 0.0
        self._said = [] if make is not None else [said("ready", None)]
        if make is not None:
            self._launch()

    def begin(self, call: bytes) -> None:
        """Begins a call: the pickled function and its arguments."""
        if self._make is None or self._process is None or not self._process.is_alive():  # it died while it was idle
            self.close()
            self._launch()
        self._send(call)

    def receive(self, seconds: float) -> list[bytes]:
        """What it has said since the last time; waits so long for something."""
        if self._said or self._pipe is None or self._process is None:
            spoken, self._said = self._said, []
            return spoken
        found: list[bytes] = []
        time.sleep(max(0.0, self._last + _BATCH - time.monotonic()))
        self._last = time.monotonic()
        try:
            if self._pipe in wait([self._pipe, self._process.sentinel], seconds) or self._pipe.poll():
                found.append(self._pipe.recv_bytes())
                while self._pipe.poll():
                    found.append(self._pipe.recv_bytes())
            elif not self._process.is_alive():
                raise EOFError
        except (EOFError, OSError):
            self._process.join()
            found.append(said("died", _end(self._process.exitcode)))
            self._pipe.close()
            self._pipe = None
        return found

    def interrupt(self) -> None:
        """The process receives SIGINT, as by Ctrl-C."""
        self._send(_STOP)

    def kill(self) -> None:
        """Ends the process at once."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Ends an idle process; one that is not idle is killed after a while."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._process is not None:
            self._process.join(_PATIENCE)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process = None

    def _launch(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads, or a CUDA context, may hang
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._make, self._threads, self._gpu))
        with _without_interrupt():
            self._process.start()
        theirs.close()  # the death of the process then closes the pipe

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(OSError):  # it died just now: `receive` says so
            if self._pipe is not None:
                self._pipe.send_bytes(message)


def said(kind: str, content: Any) -> bytes:
    """What a process says, in bytes."""
    return pickle.dumps((kind, content))


@contextlib.contextmanager
def _without_interrupt():
    """A block in which a process that is started ignores Ctrl-C until it says otherwise: this one ends it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = "; where memory is short, run fewer at once" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended with code {code}"


# --- in the process


def _serve(pipe: Connection, make: bytes | None, threads: int | None, gpu: str | None) -> None:
    """What the process does: calls, until the other end of the pipe is closed, or one call if there is no `make`."""
    if hasattr(os, "setsid"):
        os.setsid()  # a terminal's Ctrl-C reaches the command alone, which says what it means
    if hasattr(signal, "pthread_sigmask"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # forgets what came until now
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell's background ignores it
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    calls: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, calls), daemon=True).start()
    with contextlib.suppress(OSError, KeyboardInterrupt):  # nobody waits for it any more
        given: tuple[Any, ...] = ()
        if make is not None:
            kind, content = _made(make, threads)
            if kind == "ready":
                given = (content[0], lambda content: pipe.send_bytes(said("report", content)))
                content = content[1]
            pipe.send_bytes(said(kind, content))
            if kind != "ready":
                calls.put(None)
        while (call := calls.get()) is not None:
            answer = _answer(call, given, threads)
            pipe.send_bytes(answer)
            if make is None:
                break
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends already


def _made(make: bytes, threads: int | None) -> tuple[str, Any]:
    try:
        function = pickle.loads(make)
    except Exception as error:  # only on another machine
        return (
            "refused",
            f"{socket.gethostname()} has not this version of the package ({type(error).__name__}: {error})",
        )
    try:
        _take_cores(threads)
        return "ready", function()
    except UserError as error:
        return "refused", str(error)
    except Exception:
        return "broken", traceback.format_exc()


def _answer(call: bytes, given: tuple[Any, ...], threads: int | None) -> bytes:
    try:
        function, args, kwargs = pickle.loads(call)
        _take_cores(threads)
        return said("value", function(*given, *args, **kwargs))
    except WorkerError as error:
        return said("refused", str(error))
    except UserError as error:
        return said("error", str(error))
    except KeyboardInterrupt:
        return said("error", "interrupted")
    except Exception as error:
        return said("bug", f"{type(error).__name__}: {error}")


def _listen(pipe: Connection, calls: queue.SimpleQueue[bytes | None]) -> None:
    """Passes calls on, and interrupts when told; at the end of the other process, this one ends too."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            message = pipe.recv_bytes()
            if message == _STOP:
                _interrupt()
            else:
                calls.put(message)
    calls.put(None)
    time.sleep(_ENDING)  # in which an idle process ends
    _interrupt()
    time.sleep(_SAVING)
    os._exit(1)


def _interrupt() -> None:
    if hasattr(signal, "pthread_kill"):  # interrupts its waiting too
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main(signal.SIGINT)


def _take_cores(threads: int | None) -> None:
    """Give this process its share of the cores, in the libraries that it has loaded."""
    if threads is None:
        return
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(min(torch.get_num_threads(), threads))
    if cv2 := sys.modules.get("cv2"):
        cv2.setNumThreads(threads)


Made = Callable[[], tuple[Any, Any]]
"""What a process calls once: it returns the first argument of all calls, and what the process says of itself."""
