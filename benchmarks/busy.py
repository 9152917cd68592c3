"""A tracked frame beside other programs that keep the cores busy: the team of threads, one thread, OpenMP's threads."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from unittest import mock

import numpy as np
import torch

import ltr.ops.team as team_module
from benchmarks.frame import sequence_frames
from benchmarks.timing import Table, milliseconds, summarise
from ltr.common.provenance import usable_cores
from pytracking.factory import tracker_settings
from pytracking.tracker.atom.atom import Atom

NEIGHBOURS, FRAMES, ROUNDS = (0, 1, 3), 40, 2
SECONDS = 2.0  # after which a round ends before its last frame: OpenMP's frames can take seconds


def run(device: str, quick: bool) -> Iterator[Table]:
    if torch.device(device).type != "cpu":
        return
    name, frames, box = sequence_frames(12 if quick else FRAMES)
    cores = usable_cores()
    table = Table(
        f"`atom ebm` beside busy programs: {name}, {cores} cores, median (and mean) ms a frame",
        ["busy programs", f"a team of {cores}", "one thread", f"{cores} threads of OpenMP"],
    )
    tracker = Atom(tracker_settings("atom", "ebm", ()), "cpu")
    for count in NEIGHBOURS[:2] if quick else NEIGHBOURS:
        seconds: dict[str, list[float]] = {"team": [], "one": [], "openmp": []}
        with _busy(count):
            for _ in range(1 if quick else ROUNDS):
                for way, values in seconds.items():
                    values += _frames(tracker, way, frames, box)
        cells = [
            f"{milliseconds(summarise(values).median)} ({milliseconds(float(np.mean(values)))})"
            for values in seconds.values()
        ]
        table.add([str(count), *cells], neighbours=count, **{way: summarise(values) for way, values in seconds.items()})
    table.notes.append(f"rounds in turn, each of {len(frames)} frames or, if they take longer, {SECONDS:g} s")
    yield table


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """So many other programs that compute without a pause."""
    with ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(process.kill)
        yield


def _frames(tracker: Atom, way: str, frames: list[np.ndarray], box: np.ndarray) -> list[float]:
    """Seconds of each frame, in one of the three ways; the first frame, and one more, are not counted."""
    before, seconds = torch.get_num_threads(), []
    openmp = mock.patch.object(team_module, "dense", SimpleNamespace(available=lambda: False))
    torch.set_num_threads(1 if way == "one" else usable_cores())
    try:
        tracker.initialize(frames[0], box)
        with openmp if way == "openmp" else ExitStack():
            tracker.track(frames[1])
            end = time.perf_counter() + SECONDS
            for frame in frames[2:]:
                start = time.perf_counter()
                tracker.track(frame)
                seconds.append(time.perf_counter() - start)
                if time.perf_counter() > end:
                    break
    finally:
        torch.set_num_threads(before)
    return seconds
