"""How everything here is timed, and the tables that come out.

Machines are noisy: what is compared runs in turn, in one process, many times; medians are told, with the quartiles
beside them in the JSON, and ratios are of medians of the same run.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
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


def where(device: str) -> str:
    """The device, for titles."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device}, {torch.get_num_threads()} threads"


_MEASURE = """
import json, re, sys
from pathlib import Path
import torch
torch.set_num_threads({threads})
import {module}
small, whole, device = json.loads(sys.argv[1])
cuda = torch.device(device).type == "cuda"
# not getrusage, whose maximum begins with that of the process that started this one
resident = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
peak = torch.cuda.max_memory_allocated if cuda else resident
{module}.{maker}(*small)()  # libraries are loaded
step = {module}.{maker}(*whole)
before = peak()
step()
print(peak() - before)
"""


def peak_of_first_step(
    maker: Callable[..., Any], small: Sequence[Any], whole: Sequence[Any], device: str
) -> int | None:
    """Bytes that the first call of `maker(*whole)` needs, in a process of its own; None where that cannot be measured.

    Args:
        maker: a function of a module in this folder, which returns what is called.
        small: other arguments of `maker`, with which it is called first, so that libraries are loaded.
    """
    if torch.device(device).type != "cuda" and not Path("/proc/self/status").exists():
        return None
    root = Path(__file__).resolve().parents[1]  # where `benchmarks` can be imported
    names = {"module": maker.__module__, "maker": maker.__name__, "threads": torch.get_num_threads()}
    program = _MEASURE.format(**names)
    arguments = json.dumps([small, whole, device])
    command = [sys.executable, "-c", program, arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return int(done.stdout)
