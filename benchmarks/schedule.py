"""Many sequences on k workers: what share of k processors' time is tracking, measured here and simulated for many.

The simulation runs the scheduling that tracking runs, `run_on_workers` with its executor; only the workers are not
real: they wait on a clock that jumps to the end of the next sequence as soon as all of them wait.
"""

import heapq
import pickle
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from benchmarks.timing import Table
from ltr.common.executors import ProcessExecutor, WorkerExecutor
from ltr.common.images import write_image
from ltr.common.own_process import said
from ltr.dataset.generated import benchmark_scene
from pytracking.evaluation.datasets import TrackingSequence
from pytracking.evaluation.running import TrackerSpec
from pytracking.evaluation.workers import KeptTracker, SequenceWork, Workers, run_on_workers

LASOT = {"count": 280, "shortest": 1000, "mean": 2448, "longest": 9999}
"""Published of the testing set."""


@dataclass(frozen=True)
class Film:
    """A sequence of which only the length matters."""

    name: str
    frames: int
    seconds: float

    def __len__(self) -> int:
        return self.frames


def lasot_lengths() -> list[int]:
    """280 lengths with the published statistics, in an order by chance: quantiles of a log-normal, cut at both ends."""
    normal = ndtri((np.arange(LASOT["count"]) + 0.5) / LASOT["count"])

    def lengths(spread: float) -> np.ndarray:
        return np.clip(LASOT["shortest"] * np.exp(0.75 + spread * normal), LASOT["shortest"], LASOT["longest"])

    spread = brentq(lambda spread: lengths(spread).mean() - LASOT["mean"], 0.05, 2)
    found = lengths(spread).round().astype(int)
    found[0], found[-1] = LASOT["shortest"], LASOT["longest"]
    return np.random.default_rng(0).permutation(found).tolist()


# --- measured


@dataclass(frozen=True)
class TimedWork:
    """What a worker does with a sequence, and the seconds that it takes."""

    work: SequenceWork

    def __call__(self, kept: KeptTracker, report: Callable[[Any], None], sequence: TrackingSequence) -> float:
        start = time.perf_counter()
        self.work(kept, report, sequence)
        return time.perf_counter() - start


class Outcome:
    """Adds up the seconds of work."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def begin(self, task: Any) -> bool:
        return True

    def report(self, task: Any, content: list[Any]) -> None: ...

    def again(self, task: Any, cause: str) -> None: ...

    def finish(self, task: Any, value: Any) -> None:
        self.seconds += value

    def fail(self, task: Any, cause: str, died: bool) -> None:
        raise RuntimeError(f"{task}: {cause}")


def measured(device: str, quick: bool) -> tuple[Table, float, float]:
    """The table of real workers; and seconds of a frame and of a worker's start, with one core for each worker."""
    frames = 12 if quick else 100  # of a sequence, on average
    lengths = [max(2, round(length * frames / LASOT["mean"])) for length in lasot_lengths()[:: 280 // 14]]
    table = Table(
        f"{len(lengths)} sequences of {min(lengths)} to {max(lengths)} frames on k processes: atom/ebm, {device}",
        ["k", "start, s", "tracking, s", "from start to end, s", "frames/s", "efficiency", "with the start"],
    )
    with tempfile.TemporaryDirectory() as folder:
        tasks = _sequences(Path(folder), lengths)
        for jobs in (1, 2):
            outcome, begun = Outcome(), []
            start = time.perf_counter()
            workers = Workers(TimedWork(SequenceWork(False)), TrackerSpec("atom", "ebm", device), ProcessExecutor, jobs)
            run_on_workers(tasks, workers, outcome, lambda device, begun=begun: begun.append(time.perf_counter()))
            end = time.perf_counter()
            ready, span, whole = begun[0] - start, end - begun[0], end - start
            shares = (outcome.seconds / (jobs * span), outcome.seconds / (jobs * whole))
            cells = [f"{ready:.1f}", f"{outcome.seconds:.1f}", f"{span:.1f}", f"{sum(lengths) / span:.1f}"]
            table.add(
                [str(jobs), *cells, *(f"{share:.1%}" for share in shares)],
                workers=jobs, start=ready, work=outcome.seconds, span=span, efficiency=shares[0],
            )  # fmt: skip
    table.notes += ["Efficiency: seconds of tracking / (k x seconds from the first worker's start to the end)."]
    return table, outcome.seconds / sum(lengths), ready


def _sequences(folder: Path, lengths: Sequence[int]) -> list[TrackingSequence]:
    """Sequences of any length: a scene, there and back again."""
    scene = benchmark_scene("rotation")
    there = range(len(scene.boxes()))
    turns = [*there, *there[-2:0:-1]]
    files = [folder / f"{k:08d}.jpg" for k in there]
    for k, file in enumerate(files):
        write_image(file, scene.render(k))
    numbers = [[turns[i % len(turns)] for i in range(length)] for length in lengths]
    return [
        TrackingSequence(f"film{k}", [files[i] for i in order], scene.boxes()[order], "generated")
        for k, order in enumerate(numbers)
    ]


# --- simulated


class Clock:
    """Virtual seconds: it jumps to the next end of a sleep when everybody who could do something sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self._ends: list[float] = []
        self._change = threading.Condition()

    def sleep(self, seconds: float, busy: Callable[[], int]) -> None:
        """Sleep; `busy()` is how many there are that sleep or will."""
        with self._change:
            end = self.now + seconds
            heapq.heappush(self._ends, end)
            while self.now < end:
                if len(self._ends) == busy():
                    self.now = self._ends[0]
                    while self._ends and self._ends[0] <= self.now:  # several may end at once
                        heapq.heappop(self._ends)
                    self._change.notify_all()
                else:
                    self._change.wait(1e-3)  # not for ever: the others may end without a sleep


class SimulatedWorker:
    """Takes the time of its start and of each call on the clock, and does nothing else."""

    def __init__(self, clock: Clock, start: float, busy: Callable[[], int]):
        self._clock, self._seconds, self._busy, self._says = clock, start, busy, "ready"

    def begin(self, call: bytes) -> None:
        _, (film,), _ = pickle.loads(call)
        self._seconds, self._says = film.seconds, "value"

    def receive(self, seconds: float) -> list[bytes]:
        self._clock.sleep(self._seconds, self._busy)
        return [said(self._says, self._seconds)]

    def interrupt(self) -> None: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


class SimulatedExecutor(WorkerExecutor):
    """The executor of all workers, with simulated ones."""

    def __init__(self, clock: Clock, start: float, count: int, *args: Any):
        super().__init__(*args)
        self._clock, self._start, self._left_to_submit = clock, start, count

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future = super().submit(fn, *args, **kwargs)
        self._left_to_submit -= 1
        return future

    def start_worker(self, number: int) -> SimulatedWorker:
        return SimulatedWorker(self._clock, self._start, self._busy)

    def _busy(self) -> int:
        """How many workers have something to do; none before all calls are there."""
        return -1 if self._left_to_submit else min(self._jobs, self._unfinished)


def simulate(films: Sequence[Film], jobs: int, start: float) -> float:
    """Seconds until the end of all, on so many workers that each need `start` seconds before the first."""
    clock = Clock()
    executor = partial(SimulatedExecutor, clock, start, len(films))
    workers = Workers(_nothing, TrackerSpec("atom", "ebm"), executor, jobs)
    run_on_workers(films, workers, Outcome(), lambda device: None)
    return clock.now


def simulate_in_given_order(films: Sequence[Film], jobs: int, start: float) -> float:
    """The same without :func:`run_on_workers`, which orders them."""
    clock = Clock()
    with SimulatedExecutor(clock, start, len(films), jobs) as executor:
        wait([executor.submit(_nothing, film) for film in films])
    return clock.now


def _nothing(film: Film) -> None: ...


def simulated(seconds_of_frame: float, start: float, quick: bool) -> Table:
    """The table of LaSOT's testing set on many workers."""
    films = [Film(f"film{k}", frames, frames * seconds_of_frame) for k, frames in enumerate(lasot_lengths())]
    work = sum(film.seconds for film in films)
    table = Table(
        f"LaSOT's testing set simulated: {len(films)} sequences, {sum(map(len, films)):,} frames, "
        f"{1e3 * seconds_of_frame:.1f} ms a frame, {start:.1f} s for the start of a worker",
        ["k", "hours", "efficiency", "in an order by chance", "at best"],
    )
    for jobs in (1, 64) if quick else (1, 2, 4, 8, 16, 32, 64):
        span, unordered = simulate(films, jobs, start), simulate_in_given_order(films, jobs, start)
        best = max(work / jobs, max(film.seconds for film in films))
        cells = [f"{span / 3600:.2f}", *(f"{work / (jobs * s):.1%}" for s in (span, unordered, best))]
        table.add([str(jobs), *cells], workers=jobs, seconds=span, unordered=unordered, best=best, work=work)
    table.notes += [
        "Efficiency: seconds of tracking / (k x seconds to the end), starts included. At best: no worker ever waits,",
        "and all takes no less than the longest sequence. Lengths: a log-normal with the published least, mean, most.",
    ]
    return table
