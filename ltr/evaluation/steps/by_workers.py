"""Measuring in parts, by processes or on a cluster. What they measure goes into the log of the search, which then finds
it there."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tqdm import tqdm

from ltr.cluster.options import cluster_of
from ltr.common.executors import ProcessExecutor
from ltr.common.own_process import Made
from ltr.evaluation.line_log import LineLog
from ltr.evaluation.steps.measured import Measured
from ltr.evaluation.trainings.calls import do_calls
from ltr.evaluation.trainings.spread import spread

_MANY = 1000  # workers, or as many as a cluster has room for
_PARTS = 4  # of each worker, so that none has much left at the end


@dataclass(frozen=True)
class Part:
    """Of the things to be measured, every `count`-th from `index` on."""

    index: int = 0
    count: int = 1

    def of(self, things: list[Any]) -> list[Any]:
        """Those of the part."""
        return things[self.index :: self.count]

    @property
    def without_bar(self) -> bool | None:
        """What tqdm takes as `disable`: True in a worker, None shows the progress of the whole on a terminal."""
        return True if self.count > 1 else None


WHOLE = Part()


class MeasuredLog(Protocol):
    """What is measured so far: a log, or a way to one."""

    def __contains__(self, key: Any, /) -> bool: ...

    def append(self, result: Measured, /) -> None: ...


class Measuring(Protocol):
    """What a worker has: it measures a part, apart from what is in the log."""

    def measure(self, log: MeasuredLog, part: Part) -> None: ...


@dataclass(frozen=True)
class _Reported:
    """The log of a search, from a worker."""

    done: Collection[str]
    report: Callable[[Measured], None]

    def __contains__(self, key: Any) -> bool:
        return key in self.done

    def append(self, result: Measured) -> None:
        self.report(result)


def measure_by_workers(
    make: Made,
    log: LineLog[Measured],
    count: int,
    name: str,
    jobs: int,
    make_executor: Callable[..., Any] = ProcessExecutor,
) -> None:
    """Has all measured that is not in a log yet.

    Args:
        make: pickled, makes a :class:`Measuring` in each worker.
        count: of the things to be measured, those in the log included.
        name: for the progress bar.
        jobs: number of workers.
        make_executor: such as ProcessExecutor.

    Raises:
        UserError: as what is measured, or the log.
        KeyboardInterrupt: if a signal stops it.
    """
    done, lock = frozenset(log.keys()), threading.Lock()
    errors: list[BaseException] = []
    with tqdm(total=count, initial=min(count, len(done)), desc=name, unit="item", disable=None, leave=False) as bar:

        def tell(kind: str, future: Future | None, content: Any) -> None:
            if kind == "reports":
                with lock:
                    for measured in content:
                        log.append(measured)
                        bar.update()

        def finish(part: Part, future: Future, stopped: bool) -> None:
            error = future.exception()
            if error is not None and not stopped:
                errors.append(error)

        parts = [Part(index, jobs * _PARTS) for index in range(jobs * _PARTS)]
        stop = do_calls(_PartOf(done), parts, finish, jobs, lambda jobs: make_executor(jobs, make, tell))
    if stop is not None:
        raise KeyboardInterrupt
    if errors:
        raise errors[0]


class Workers(NamedTuple):
    """How many, and what makes their executor."""

    jobs: int
    make_executor: Callable[..., Any]


@contextlib.contextmanager
def workers(options: Any, out: Path) -> Iterator[Workers | None]:
    """A block with the workers that options ask for: jobs, cluster and gpus_per_worker; None for this process.

    Args:
        out: a folder that all machines see.

    Raises:
        UserError: as :func:`ltr.evaluation.trainings.spread.spread`.
    """
    if options.cluster is None and (options.jobs or 1) == 1:
        with cluster_of(options):
            yield None
        return
    device = getattr(options, "device", "auto")
    with spread(options, out, device, options.jobs or _MANY) as (jobs, how):
        yield Workers(jobs, how.get("make_executor", ProcessExecutor))


@dataclass(frozen=True)
class _PartOf:
    """What a worker does: it measures a part, apart from what is done."""

    done: Collection[str]

    def __call__(self, measuring: Measuring, report: Callable[[Measured], None], part: Part) -> None:
        measuring.measure(_Reported(self.done, report), part)
