"""Many sequences or videos on many processes; a process that dies loses only its own sequence.

Each worker is a spawned process with a pipe to this one, and gets one of them at a time. (A process pool of the
standard library breaks as a whole when one of its processes is killed, and does not say which task that one had.)
"""

import multiprocessing
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from ltr.common.errors import UserError
from pytracking.evaluation.sequence_run import FrameError, failure, tracker_device
from pytracking.tracker.base import BaseTracker

PROGRESS_PERIOD = 0.25  # seconds between the reports of a worker
PATIENCE = 5.0  # seconds in which a worker has to end by itself


class WorkerError(UserError):
    """The workers cannot work."""


class TrackerMaker(Protocol):
    """What a worker makes its tracker from, such as a :class:`pytracking.evaluation.running.TrackerSpec`."""

    @property
    def seed(self) -> int: ...

    def make(self) -> BaseTracker: ...


class Task(Protocol):
    """What one worker does at a time, such as a sequence; its length is a number of frames."""

    @property
    def name(self) -> str: ...

    def __len__(self) -> int: ...


Work = Callable[[Any, BaseTracker, Callable[[int], None]], Any]
"""Does a task with a tracker, reports frames, and returns what the progress is told of it."""


class TaskProgress(Protocol):
    """Is told what becomes of the tasks."""

    def advance(self, frames: int) -> None: ...

    def finish(self, name: str, frames: int, result: Any) -> None: ...

    def fail(self, name: str, cause: str, frames_left: int) -> None: ...


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    ready: bool = False
    sequence: Task | None = None
    frames_done: int = 0


def run_on_workers(
    sequences: Sequence[Task],
    spec: TrackerMaker,
    work: Work,
    count: int,
    progress: TaskProgress,
    on_ready: Callable[[str], None],
    kept: Callable[[str], str],
) -> None:
    """Run ``sequences`` on ``count`` processes, which write the results themselves.

    Args:
        work: what is done with each, in the process; it can be pickled.
        progress: told of each success and failure.
        on_ready: called once, with the device of the first tracker that is made.
        kept: by its name, the file in which a process that dies leaves the boxes of a sequence.

    Raises:
        WorkerError: if a worker cannot make its tracker, or dies before it has one.
    """
    waiting = deque(
        sorted(sequences, key=len, reverse=True)
    )  # long ones first, so that no worker has one left alone at the end
    workers: list[_Worker] = []
    started = False
    try:
        for _ in range(count):
            workers.append(_start(spec, work, count))
        while workers:
            for pipe in wait([worker.pipe for worker in workers]):
                worker = next(worker for worker in workers if worker.pipe is pipe)
                try:
                    kind, *content = worker.pipe.recv()
                except (EOFError, ConnectionResetError):
                    workers.remove(worker)
                    _bury(worker, progress, kept)
                    if waiting:
                        workers.append(_start(spec, work, count))
                    continue
                if kind == "refused":
                    raise WorkerError(content[0])
                if kind == "broken":
                    raise RuntimeError(f"a worker process failed to make the tracker:\n{content[0]}")
                if kind == "frames":
                    worker.frames_done += content[0]
                    progress.advance(content[0])
                    continue
                if kind == "ready":
                    worker.ready = True
                    if not started:
                        on_ready(content[0])
                        started = True
                elif kind == "finished" and worker.sequence is not None:
                    progress.finish(worker.sequence.name, len(worker.sequence), content[0])
                elif kind == "failed" and worker.sequence is not None:
                    progress.fail(worker.sequence.name, content[0], len(worker.sequence) - worker.frames_done)
                worker.sequence, worker.frames_done = None, 0
                if waiting:
                    worker.sequence = waiting.popleft()
                    with suppress(BrokenPipeError):  # it died just now: the next round notices
                        worker.pipe.send(worker.sequence)
                else:
                    workers.remove(worker)
                    _stop(worker)
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            _stop(worker)


def _start(spec: TrackerMaker, work: Work, count: int) -> _Worker:
    context = multiprocessing.get_context("spawn")  # a forked process could not use CUDA
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, spec, work, count), daemon=True)
    with _ignoring_interrupt():
        process.start()
    theirs.close()  # the worker's death then closes the pipe
    return _Worker(process, ours)


@contextmanager
def _ignoring_interrupt() -> Iterator[None]:
    """Processes started within it ignore Ctrl-C from their first instruction on: this process ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _bury(worker: _Worker, progress: TaskProgress, kept: Callable[[str], str]) -> None:
    """Report the sequence of a worker that died."""
    worker.process.join()
    worker.pipe.close()
    code = worker.process.exitcode or 0
    if code < 0:
        how = f"was killed by signal {-code}" + (" (often out of memory)" if code == -signal.SIGKILL else "")
    else:
        how = f"ended with exit code {code}"
    if not worker.ready:
        raise WorkerError(f"a worker process {how} before it could start; try --threads 0")
    if worker.sequence is not None:
        cause = f"its worker process {how}; its boxes so far are in {kept(worker.sequence.name)}"
        progress.fail(worker.sequence.name, cause, len(worker.sequence) - worker.frames_done)


def _stop(worker: _Worker) -> None:
    worker.pipe.close()  # which ends the worker
    worker.process.join(PATIENCE)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()


def _work(pipe: Connection, spec: TrackerMaker, work: Work, count: int) -> None:
    """The work of a worker process: make the tracker, then run each sequence received, until the pipe is closed."""
    _share_cores(count)
    try:
        tracker = spec.make()
    except UserError as error:
        pipe.send(("refused", str(error)))
        return
    except Exception:
        pipe.send(("broken", traceback.format_exc()))
        return
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        pipe.send(("ready", tracker_device(tracker)))
        while True:
            sequence = pipe.recv()
            reporter = _Reporter(pipe)
            try:
                result = work(sequence, tracker, reporter.advance)
            except FrameError as error:
                reporter.flush()
                pipe.send(("failed", failure(sequence, error)))
                tracker = spec.make()
            except UserError as error:
                reporter.flush()
                pipe.send(("failed", str(error)))
            else:
                reporter.flush()
                pipe.send(("finished", result))


class _Reporter:
    """Sends the number of tracked frames every PROGRESS_PERIOD."""

    def __init__(self, pipe: Connection):
        self._pipe, self._frames, self._last = pipe, 0, time.monotonic()

    def advance(self, frames: int) -> None:
        self._frames += frames
        if time.monotonic() - self._last > PROGRESS_PERIOD:
            self.flush()

    def flush(self) -> None:
        if self._frames:
            self._pipe.send(("frames", self._frames))
        self._frames, self._last = 0, time.monotonic()


def _share_cores(count: int) -> None:
    """Give this process its share of the cores, or fewer if OMP_NUM_THREADS says so."""
    import cv2
    import torch

    from ltr.common.provenance import usable_cores

    share = max(1, usable_cores() // count)
    torch.set_num_threads(min(torch.get_num_threads(), share))
    cv2.setNumThreads(share)
