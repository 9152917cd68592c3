"""Many sequences at once on one device: frames per second of all, by processes and by shared passes in one process."""

import functools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from benchmarks.frame import sequence_frames, threads_of
from benchmarks.timing import Table
from ltr.common.provenance import usable_cores
from pytracking import Tracker, track_together

COUNTS = (1, 2, 4, 8)
FRAMES = 60
WARM_UP = 12  # frames after which the graphs of a GPU are captured

_PROCESS = """
import re, sys, time
from pathlib import Path
import cv2, torch
torch.set_num_threads(int(sys.argv[3]))
cv2.setNumThreads(int(sys.argv[3]))
from benchmarks.sequences import Run
run = Run(1, sys.argv[1], int(sys.argv[2]))
print("ready", flush=True)
end = time.time() + float(sys.stdin.readline())
tracked = 0
while time.time() < end:
    run.step()
    tracked += 1
status = Path("/proc/self/status")
private = int(re.search(r"RssAnon:\\s+(\\d+)", status.read_text())[1]) / 1024 if status.exists() else 0
print(tracked, private)
"""


class Run:
    """Trackers at different frames of a sequence, there and back again.

    Args:
        count: number of trackers.
        device: on which they track.
        first: frame at which the first one starts.
    """

    def __init__(self, count: int, device: str, first: int = 0):
        _, frames, box = sequence_frames(FRAMES)
        self.frames = [*frames, *frames[-2:0:-1]]
        self.trackers = [Tracker("atom", "ebm", device) for _ in range(count)]
        self.next = [first + 5 * k for k in range(count)]
        for k, tracker in enumerate(self.trackers):
            tracker.initialize(frames[0], box)
            for frame in frames[1 : self.next[k]]:  # from the first frame, where the box is known
                tracker.track(frame)
        for _ in range(WARM_UP):
            self.step()

    def step(self) -> None:
        """A frame of every sequence."""
        track_together(self.trackers, [self.frames[n % len(self.frames)] for n in self.next])
        self.next = [n + 1 for n in self.next]


def run(device: str, quick: bool) -> Iterator[Callable[[], Table]]:
    yield functools.partial(_table, device, quick)


def _table(device: str, quick: bool) -> Table:
    table = Table(
        f"Sequences at once, `atom ebm`, frames/s of all: {threads_of(device)}, {usable_cores()} cores",
        ["sequences", "processes", "MiB a process", "one process", "on the GPU, MiB"],
    )
    seconds = 1.0 if quick else 3.0
    for count in table.within_budget(COUNTS[:2] if quick else COUNTS):
        processes, private = _processes(count, device, seconds)
        together, gpu = _one_process(count, device, seconds)
        table.add(
            [str(count), f"{processes:.0f}", f"{private:.0f}", f"{together:.0f}", f"{gpu:.0f}" if gpu else "-"],
            sequences=count, processes=processes, private_mib=private, one_process=together, gpu_mib=gpu,
        )  # fmt: skip
    table.notes.append("processes as with --threads N; one process: `track_together` with an image for each tracker")
    return table


def _processes(count: int, device: str, seconds: float) -> tuple[float, float]:
    """Frames per second of all, and the memory of its own of a process in MiB."""
    threads = max(1, usable_cores() // count)
    command = [sys.executable, "-c", _PROCESS, device]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([*command, str(1 + 3 * k), str(threads)], **pipes) for k in range(count)]
    try:
        for process in started:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"a process of {count} ended before it could track; see above")
        for process in started:
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
        found = np.array([process.communicate()[0].split() for process in started], float)
    finally:
        for process in started:
            process.kill()
            process.wait()
    return found[:, 0].sum() / seconds, found[:, 1].mean()


def _one_process(count: int, device: str, seconds: float) -> tuple[float, float]:
    """Frames per second of all, and the largest memory that PyTorch had on the GPU in MiB."""
    cuda = torch.device(device).type == "cuda"
    run = Run(count, device)
    steps, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        run.step()
        steps += 1
    return count * steps / spent, torch.cuda.max_memory_reserved() / 2**20 if cuda else 0.0
