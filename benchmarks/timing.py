"""How everything here is timed, and the tables that come out.

Machines are noisy: what is compared runs in turn, in one process, many times; medians are told, with the quartiles
beside them in the JSON, and ratios are of medians of the same run.

Where the time is limited (`budget`), there are fewer repeats, and in the end fewer rows; a table says which it lacks.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from pytracking.analysis.tables import align

clock = time.perf_counter
unfinished: list["Table"] = []
"""Tables that were begun; who prints one takes it out."""

T = TypeVar("T")


class Budget:
    """The time that is left for what is being measured: parts of the report, their tables, and rows of these."""

    def __init__(self) -> None:
        self._ends: list[float] = []

    def left(self) -> float:
        """Seconds; without a limit, infinitely many."""
        return min(self._ends, default=float("inf")) - clock()

    def up(self) -> bool:
        return self.left() <= 0

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """A block that has at most that long."""
        self._ends.append(clock() + seconds)
        try:
            yield
        finally:
            self._ends.pop()

    def share(self, items: Collection[T]) -> Iterator[T]:
        """The items, each with an even share of the time that is left, and the first of them also if there is none."""
        for done, item in enumerate(items):
            if done and self.up():
                return
            with self.within(max(self.left(), 0) / (len(items) - done)):
                yield item


budget = Budget()


class Progress:
    """What is being done, a line each on the standard error, once it is switched on."""

    def __init__(self) -> None:
        self.start: float | None = None

    def __call__(self, text: str) -> None:
        if self.start is not None:
            shown = text if len(text) <= 110 else f"{text[:107]}..."
            print(f"[{clock() - self.start:4.0f} s] {shown}", file=sys.stderr, flush=True)


progress = Progress()


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: median, lower and upper quartile over `repeats` measurements."""

    median: float
    low: float
    high: float
    repeats: int


@dataclass
class Table:
    """One table of the report. `records` is what JSON holds of it, one plain dict a row, seconds and bytes in full."""

    title: str
    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        unfinished.append(self)
        progress(self.title)

    def add(self, cells: Sequence[str], **record: Any) -> None:
        self.rows.append([str(c) for c in cells])
        self.records.append(record)
        progress("  " + ", ".join(f"{head} {cell}" for head, cell in zip(self.header, self.rows[-1], strict=True)))

    def within_budget(self, items: Collection[T], name: Callable[[T], str] = str) -> Iterator[T]:
        """The items of which rows are made, each with its share of the time; a note names those that got none."""
        done = 0
        for item in budget.share(items):
            yield item
            done += 1
        if missing := [name(item) for item in items][done:]:
            self.notes.append(f"left out, since the time was up (--seconds): {'; '.join(missing)}")

    def text(self) -> str:
        return "\n".join([self.title, align(self.header, self.rows), *self.notes])


def summarise(seconds: Sequence[float]) -> Timing:
    if len(seconds) == 1:
        return Timing(seconds[0], seconds[0], seconds[0], 1)
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return Timing(median, low, high, len(seconds))


def time_in_turn(
    functions: Mapping[str, Callable[[], Any]],
    device: torch.device | str = "cpu",
    repeats: int = 15,
    at_least: float = 0.02,
    warmup: int = 3,
) -> dict[str, Timing]:
    """Times functions A B C A B C ..., each measurement long enough for the clock.

    Args:
        functions: what to call, by name.
        device: of the work; a GPU is waited for before and after each measurement.
        repeats: measurements of each function; fewer when the time is up, at least the one that tells how many calls a
            measurement needs.
        at_least: seconds that one measurement should take; short functions are called several times in it.
        warmup: calls of each function that are not counted.
    """
    wait = waiting_for(device)
    calls, first = {}, {}
    for name, function in functions.items():
        for done in range(warmup):
            if done and budget.up():
                break
            function()
        wait()
        start = clock()
        function()
        wait()
        first[name] = clock() - start
        calls[name] = max(1, round(at_least / max(first[name], 1e-7)))
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        if budget.up():
            break
        for name, function in functions.items():
            wait()
            start = clock()
            for _ in range(calls[name]):
                function()
            wait()
            seconds[name].append((clock() - start) / calls[name])
    return {name: summarise(values or [first[name]]) for name, values in seconds.items()}


def waiting_for(device: torch.device | str) -> Callable[[], None]:
    """What waits until the device has done its work, before the clock is read."""
    return partial(torch.cuda.synchronize, device) if torch.device(device).type == "cuda" else lambda: None


def milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3f}" if seconds < 0.01 else f"{1e3 * seconds:.1f}"


def where(device: torch.device | str) -> str:
    """The device, for titles."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device}, {torch.get_num_threads()} threads"


_MEASURE = """
import json, sys
import torch
from benchmarks.process import highest_memory
torch.set_num_threads({threads})
import {module}
small, whole = json.loads(sys.argv[1])
{module}.{maker}(*small)()  # libraries are loaded
step = {module}.{maker}(*whole)
before = highest_memory()
step()
print(highest_memory() - before)
"""


def peak_of_first_step(
    maker: Callable[..., Any], small: Sequence[Any], whole: Sequence[Any], device: str
) -> int | None:
    """Bytes that the first call of `maker(*whole)` needs; None where that cannot be measured.

    On a CPU it is called in a process of its own.

    Args:
        maker: a function of a module in this folder, which returns what is called.
        small: other arguments of `maker`, with which it is called first, so that libraries are loaded.
    """
    if torch.device(device).type == "cuda":
        return _peak_on_gpu(maker, small, whole)
    if not Path("/proc/self/status").exists():
        return None
    root = Path(__file__).resolve().parents[1]  # where `benchmarks` can be imported
    names = {"module": maker.__module__, "maker": maker.__name__, "threads": torch.get_num_threads()}
    program = _MEASURE.format(**names)
    arguments = json.dumps([small, whole])
    command = [sys.executable, "-c", program, arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return int(done.stdout)


def _peak_on_gpu(maker: Callable[..., Any], small: Sequence[Any], whole: Sequence[Any]) -> int:
    maker(*small)()
    step = maker(*whole)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
