"""How everything here is timed, and the tables that come out.

Machines are noisy: what is compared runs in turn, in one process, many times; medians are told, with the quartiles
beside them in the JSON, and ratios are of medians of the same run.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from pytracking.analysis.tables import align


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

    def add(self, cells: Sequence[str], **record: Any) -> None:
        self.rows.append([str(c) for c in cells])
        self.records.append(record)

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
        repeats: measurements of each function.
        at_least: seconds that one measurement should take; short functions are called several times in it.
        warmup: calls of each function that are not counted.
    """
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None
    calls = {}
    for name, function in functions.items():
        for _ in range(warmup):
            function()
        wait()
        start = time.perf_counter()
        function()
        wait()
        calls[name] = max(1, round(at_least / max(time.perf_counter() - start, 1e-7)))
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            wait()
            start = time.perf_counter()
            for _ in range(calls[name]):
                function()
            wait()
            seconds[name].append((time.perf_counter() - start) / calls[name])
    return {name: summarise(values) for name, values in seconds.items()}


def milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3f}" if seconds < 0.01 else f"{1e3 * seconds:.1f}"
