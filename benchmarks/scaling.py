"""Data sets of a million images, and many sequences on many workers."""

from collections.abc import Iterator

from benchmarks.opening import opening
from benchmarks.schedule import measured, simulated
from benchmarks.timing import Table


def run(device: str, quick: bool) -> Iterator[Table]:
    yield opening(quick)
    table, seconds_of_frame, start = measured(device, quick)
    yield table
    yield simulated(seconds_of_frame, start, quick)
