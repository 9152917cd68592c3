"""Several objects of one video: frames per second of trackers side by side, and of trackers that share their passes."""

import functools
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.frame import sequence_frames, threads_of
from benchmarks.timing import Table, budget, milliseconds, summarise, waiting_for
from pytracking import BaseTracker, Tracker, track_together

COUNTS = (1, 2, 4, 8)
FRAMES = 30


def run(device: str, quick: bool) -> Iterator[Callable[[], Table]]:
    yield functools.partial(_table, device, quick)


def _table(device: str, quick: bool) -> Table:
    name, frames, box = sequence_frames(12 if quick else FRAMES)
    table = Table(
        f"Objects of one video, `atom ebm`: {name} ({len(frames)} frames), {threads_of(device)}",
        ["objects", "one by one, ms", "together, ms", "frames/s", "in times of one object", "share of one by one"],
    )
    alone = None
    for count in table.within_budget(COUNTS[:2] if quick else COUNTS):
        boxes = _boxes(box, frames[0], count)
        separate, together = ([_started(frames[0], b, device) for b in boxes] for _ in range(2))
        ways = {
            "separate": lambda image, trackers=separate: [tracker.track(image) for tracker in trackers],
            "together": lambda image, trackers=together: track_together(trackers, image),
        }
        timing = {way: summarise(values) for way, values in _in_turn(ways, frames[1:], device).items()}
        one_by_one, shared = timing["separate"].median, timing["together"].median
        alone = alone or one_by_one
        table.add(
            [str(count), milliseconds(one_by_one), milliseconds(shared), f"{1 / shared:.1f}",
             f"{shared / alone:.2f}", f"{shared / one_by_one:.2f}"],
            objects=count, one_by_one=timing["separate"], together=timing["together"],
        )  # fmt: skip
    table.notes.append("medians over the frames, each tracked in both ways in turn")
    return table


def _boxes(box: np.ndarray, image: np.ndarray, count: int) -> list[np.ndarray]:
    """The first box, and others of its size elsewhere in the image."""
    room = np.array([image.shape[1], image.shape[0]]) - box[2:]
    places = np.random.default_rng(0).uniform(0, room, (count - 1, 2))
    return [box, *(np.concatenate([place, box[2:]]) for place in places)]


def _started(image: np.ndarray, box: np.ndarray, device: str) -> BaseTracker:
    tracker = Tracker("atom", "ebm", device)
    tracker.initialize(image, box)
    return tracker


def _in_turn(ways: dict[str, Callable], frames: list[np.ndarray], device: str) -> dict[str, list[float]]:
    wait = waiting_for(device)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number, frame in enumerate(frames):
        for way, track in ways.items():
            wait()
            start = time.perf_counter()
            track(frame)
            wait()
            if number:  # the first frame warms up
                seconds[way].append(time.perf_counter() - start)
        if number >= 5 and budget.up():
            break
    return seconds
