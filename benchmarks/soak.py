"""A run on a video that goes on for long: memory, open files, threads, processes and speed, and whether they stay.

    python -m benchmarks.soak --frames 20000                  # a tracker that costs nothing, for all that is around it
    python -m benchmarks.soak --frames 1000 --tracker atom/ebm

It tracks one object through generated frames, and writes boxes, densities, a video and three exports, with the live
view on a server of its own. The tracker that costs nothing answers the same box and density for every frame.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import child_processes, highest_memory, memory, open_files, threads
from benchmarks.view import live_server
from ltr.common.errors import cli_main
from ltr.dataset.generated import benchmark_scene
from pytracking import Tracker
from pytracking.analysis.tables import align
from pytracking.evaluation.running import TrackerSpec
from pytracking.evaluation.video_run import VideoRunOptions, run_video
from pytracking.tracker.base import BaseTracker, TrackerOutput
from pytracking.tracker.density import TrackedBoxDensity
from pytracking.utils.video import Frame

FPS = 25.0
HEADER = ("frame", "memory, MB", "open files", "threads", "processes", "frames/s")
WARM = 0.25
"""Share of the frames that are not in the growth: caches fill, and allocators settle."""


@dataclass
class Readings:
    """What was read of this process every so many frames: rows of frame, bytes, open files, threads, child processes,
    frames/s."""

    every: int
    rows: list[tuple[int, int, int, int, int, float]] = field(default_factory=list)
    _since: float = field(default_factory=time.perf_counter)

    def read(self, frame: int) -> None:
        """Read and print, if it is time."""
        if frame % self.every or not frame:
            return
        now = time.perf_counter()
        row = (frame, memory(), open_files(), threads(), child_processes(), self.every / (now - self._since))
        self._since = now
        self.rows.append(row)
        print(f"{row[0]:8d}  {row[1] / 1e6:10.1f}  {row[2]:10d}  {row[3]:7d}  {row[4]:9d}  {row[5]:8.1f}", flush=True)

    def growth(self) -> float:
        """Bytes a 1000 frames, by least squares over all frames but the first."""
        kept = [row for row in self.rows if row[0] >= WARM * self.rows[-1][0]]
        if len(kept) < 2:
            return float("nan")
        frames, sizes = np.array([row[:2] for row in kept], np.float64).T
        return float(1000 * np.polyfit(frames, sizes, 1)[0])


class Pictures:
    """A film of any length: a scene, there and back again.

    Args:
        count: number of frames.
        readings: is asked to read at each.
    """

    name, fps, live, path = "soak", FPS, False, None

    def __init__(self, count: int, readings: Readings):
        scene = benchmark_scene("rotation")
        there = range(len(scene.boxes()))
        self._images = [scene.render(number) for number in (*there, *there[-2:0:-1])]
        self.box = scene.boxes()[0]
        self.total: int | None = count
        self._count, self._readings = count, readings

    def __str__(self) -> str:
        return "generated frames"

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._count):
            self._readings.read(index)
            yield Frame(self._images[index % len(self._images)], index / FPS, index)
        self._readings.read(self._count)

    def close(self) -> None:
        """Nothing is open."""


class Still(BaseTracker):
    """Answers the same for every frame."""

    device = "cpu"

    def __init__(self, density: TrackedBoxDensity | None):
        self._density, self._box = density, np.zeros(4)

    def initialize(self, image: np.ndarray, box: Any) -> TrackerOutput:
        self._box = np.array(box, np.float64)
        return TrackerOutput(self._box, 1.0)

    def track(self, image: np.ndarray, density: bool = False) -> TrackerOutput:
        return TrackerOutput(self._box, 0.5)

    def density(self) -> TrackedBoxDensity | None:
        return self._density


@dataclass(frozen=True)
class StillSpec(TrackerSpec):
    """Makes the tracker that costs nothing."""

    def make(self) -> BaseTracker:
        return Still(_real_density())

    def settings(self) -> dict[str, Any]:
        return {}


def _real_density() -> TrackedBoxDensity | None:
    """The density of a real tracker's second frame."""
    scene = benchmark_scene("rotation")
    tracker = Tracker("atom", "ebm", "cpu")
    tracker.initialize(scene.render(0), scene.boxes()[0])
    tracker.track(scene.render(1))
    return tracker.density()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--every", type=int, default=0, help="frames between two readings (a tenth of all)")
    parser.add_argument("--tracker", default="still", help="TRACKER/PARAMETER; still: one that costs nothing")
    options = parser.parse_args()
    if not sys.platform.startswith("linux"):
        parser.error("memory and open files are read from /proc, which only Linux has")
    readings = Readings(options.every or max(1, options.frames // 10))
    source = Pictures(options.frames, readings)
    spec = StillSpec("still", "still") if options.tracker == "still" else TrackerSpec(*options.tracker.split("/"))
    notes: list[str] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(live_server(notes))
        run = VideoRunOptions(
            boxes=[source.box.tolist()],
            out=folder,
            density=True,
            save_video=folder / "soak.mp4",
            window=False,
            visdom=("localhost", port) if port else None,
            export=("cvat", "mot", "coco"),
        )
        print(align(HEADER, []), flush=True)
        start = time.perf_counter()
        outcome = run_video(spec, source, run, quiet=True, bar=False)
        seconds = time.perf_counter() - start
        highest = highest_memory()
        written = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        record = json.loads((folder / "soak.json").read_text())
    assert outcome.frames == len(record["frames"]) == options.frames and record["complete"]
    print(f"growth: {readings.growth() / 1e3:.1f} kB a 1000 frames, after the first {WARM:.0%}")
    print(f"at most {highest / 1e6:.1f} MB, closing of the files included; the files have {written / 1e6:.1f} MB")
    print(f"{outcome.frames} frames in {seconds:.0f} s; live view: {'on' if port else '; '.join(notes)}")
    return 0


if __name__ == "__main__":
    sys.exit(cli_main(main)())
