"""Many sequences or videos on workers: processes of this machine, or of many machines."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from ltr.common.errors import UserError
from ltr.common.executors import ProcessExecutor, Tell, WorkerExecutor
from ltr.common.own_process import Made, WorkerDied
from ltr.common.provenance import device_name
from pytracking.evaluation.datasets import TrackingSequence
from pytracking.evaluation.sequence_run import FrameError, FrameResult, failure, sequence_results, tracker_device
from pytracking.tracker.base import BaseTracker


class TrackerMaker(Protocol):
    """What a worker makes its tracker from, such as a :class:`pytracking.evaluation.running.TrackerSpec`."""

    @property
    def seed(self) -> int: ...

    def make(self) -> BaseTracker: ...


class Task(Protocol):
    """What one worker does at a time, such as a sequence; its length is a number of frames."""

    def __len__(self) -> int: ...


T = TypeVar("T", bound=Task)
T_in = TypeVar("T_in", contravariant=True)


class TaskOutcome(Protocol[T_in]):
    """Is told what becomes of the tasks."""

    def begin(self, task: T_in) -> bool: ...

    def report(self, task: T_in, content: list[Any]) -> None: ...

    def again(self, task: T_in, cause: str) -> None: ...

    def finish(self, task: T_in, value: Any) -> None: ...

    def fail(self, task: T_in, cause: str, died: bool) -> None: ...


class MakeExecutor(Protocol):
    """Makes an executor, such as :class:`ltr.common.executors.ProcessExecutor`."""

    def __call__(self, jobs: int, make: Made, tell: Tell, before: Callable[..., bool], /) -> WorkerExecutor: ...


@dataclass
class KeptTracker:
    """The tracker of a worker.

    Attributes:
        spec: of which it is made.
        tracker: made once; anew after a failure, which may leave it in any state.
    """

    spec: TrackerMaker
    tracker: BaseTracker


@dataclass(frozen=True)
class MakeTracker:
    """What a worker calls once: makes the tracker, and says on which device it is."""

    spec: TrackerMaker

    def __call__(self) -> tuple[KeptTracker, str]:
        tracker = self.spec.make()
        return KeptTracker(self.spec, tracker), device_name(tracker_device(tracker))


@dataclass(frozen=True)
class Workers:
    """Who does tasks, and how.

    Attributes:
        work: what is done with a task, in a worker; it can be pickled. Its arguments are the worker's
            :class:`KeptTracker`, a function that reports, and the task.
        spec: of the tracker that each worker makes.
        make_executor: given a number of workers, makes their executor.
        jobs: the number of workers, at most.
    """

    work: Callable[[KeptTracker, Callable[[Any], None], Any], Any]
    spec: TrackerMaker
    make_executor: MakeExecutor
    jobs: int


def on_this_machine(
    work: Callable[[KeptTracker, Callable[[Any], None], Any], Any], spec: TrackerMaker, threads: int
) -> Workers:
    """Workers that are processes of this machine. A tracker that is to be on a certain GPU finds all of them."""
    share_gpus = getattr(spec, "device", None) in (None, "cuda")
    return Workers(work, spec, partial(ProcessExecutor, share_gpus=share_gpus), threads)


def run_on_workers(
    tasks: Sequence[T], workers: Workers, outcome: TaskOutcome[T], on_ready: Callable[[str], None]
) -> None:
    """Do `tasks` by workers, each of which has a tracker.

    Args:
        outcome: asked before a task begins, in another thread, whether it is to be done; told of reports, successes and
            failures, in this thread.
        on_ready: called with the device of the first tracker that is made, and with each other kind of device.

    Raises:
        WorkerError: if a worker cannot make its tracker, or dies before it has one.
    """
    events: queue.SimpleQueue[tuple[str, Future | None, Any]] = queue.SimpleQueue()
    jobs, make = min(workers.jobs, len(tasks)), MakeTracker(workers.spec)
    devices: set[str] = set()
    with workers.make_executor(jobs, make, lambda *event: events.put(event), outcome.begin) as executor:
        try:
            # long ones first, so that no worker has one left alone at the end
            ordered = sorted(tasks, key=len, reverse=True)
            left = {executor.submit(workers.work, task): task for task in ordered}
            for future in left:
                future.add_done_callback(lambda future: events.put(("done", future, None)))
            while left:
                kind, about, content = events.get()
                if about is None:
                    if content not in devices:
                        on_ready(content)
                    devices.add(content)
                elif kind == "reports":
                    outcome.report(left[about], content)
                elif kind == "again":
                    outcome.again(left[about], content)
                elif executor.error is not None and about.exception() is not None:
                    raise executor.error
                else:
                    _end(left.pop(about), about, outcome)
        except BaseException:
            executor.kill()
            raise


def _end(task: T, future: Future, outcome: TaskOutcome[T]) -> None:
    error = future.exception()
    if error is None:
        outcome.finish(task, future.result())
    else:
        outcome.fail(task, str(error), isinstance(error, WorkerDied))


@dataclass(frozen=True)
class SequenceWork:
    """What a worker does with a sequence: it reports a :class:`FrameResult` for each frame.

    Raises:
        UserError: if it fails, with the frame and the cause.
    """

    density: bool

    def __call__(self, kept: KeptTracker, report: Callable[[FrameResult], None], sequence: TrackingSequence) -> None:
        try:
            for frame in sequence_results(sequence, kept.tracker, kept.spec.seed, self.density):
                report(frame)
        except FrameError as error:
            kept.tracker = kept.spec.make()
            raise UserError(failure(sequence, error)) from error
