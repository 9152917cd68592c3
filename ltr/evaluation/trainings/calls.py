"""Doing calls by an executor, several at once on request, until they are done or a signal stops them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

from tqdm import tqdm

from ltr.common.executors import ProcessExecutor
from ltr.trainers.signals import StopSignal

_SECONDS = 1.0  # between two looks
T = TypeVar("T")


def do_calls(
    work: Callable[..., Any],
    todo: Sequence[T],
    finish: Callable[[T, Future, bool], None],
    jobs: int = 1,
    make_executor: Callable[[int], Any] = ProcessExecutor,
    show: Callable[[list[T]], None] = lambda running: None,
) -> int | None:
    """Calls `work` with each thing, the last of its arguments; returns the signal that stopped this, or None.

    SIGINT or SIGTERM stops it: calls that have not begun are cancelled, and those in progress receive SIGINT. A second
    signal ends them at once.

    Args:
        finish: is told of each call that has ended, and whether a signal has stopped the others.
        jobs: how many at once.
        make_executor: given a number of jobs, an executor as of concurrent.futures, with `interrupt` and `kill` of
            :class:`ltr.common.executors.WorkerExecutor`.
        show: is told again and again what is in progress.

    Raises:
        WorkerError: if the executor has no workers.
        KeyboardInterrupt: at the second signal.
    """
    stop, stopped = StopSignal(), False
    executor = make_executor(jobs)
    try:
        futures = {executor.submit(work, each): each for each in todo}
        left = set(futures)
        with stop.listening(lambda text: tqdm.write("stopping after these steps; once more to stop at once")):
            while left:
                done, left = wait(left, _SECONDS, FIRST_COMPLETED)
                if stop.number is not None and not stopped:
                    stopped = True
                    executor.interrupt()
                error = getattr(executor, "error", None)
                for future in [f for f in futures if f in done and not f.cancelled()]:
                    if error is None or future.exception() is None:
                        finish(futures[future], future, stopped)
                if error is not None:
                    raise error
                show([futures[f] for f in futures if f in left and f.running()])
                left = {f for f in left if not f.cancelled()}  # of which `wait` does not speak
    except BaseException:
        executor.kill()
        raise
    finally:
        executor.shutdown()
    return stop.number
