"""A sequence, tracked in each way: from the same states, and as a whole.

Left alone, two ways drift apart, however exact both are: crops have whole numbers for pixels, a peak is looked for on a
grid, and three of ten boxes are chosen. So the frame after a first one is compared closely, from first frames all along
the sequence; the whole sequence is compared by how well it is tracked.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ltr.common.images import read_image
from ltr.dataset.generated import benchmark_scene
from pytracking import Tracker
from pytracking.analysis.metrics import overlap
from pytracking.check.jobs import JobError, run_job
from pytracking.check.networks import use_full_float32
from pytracking.check.results import Result
from pytracking.check.ways import PLAIN, Way, ways
from pytracking.evaluation.datasets import TrackingSequence, get_dataset

SECONDS = 300.0
STARTS, FRAMES = 8, 40

CLOSE, SHARE = 0.1, 0.75
"""Pixels within which this share of the boxes after a first frame has to be; where two peaks are even, or the third and
fourth of the ten boxes, rounding decides."""
SAME_TARGET = 0.8
"""The IoU that all of them have to have."""
QUALITY = 0.05
"""By how much the mean IoU with the truth of a whole sequence may be lower."""


def run(devices: Sequence[str], sequence: Path | None, quick: bool) -> Iterator[Result]:
    """Results for each way, as soon as they are there."""
    arguments = {"sequence": None if sequence is None else str(sequence), "quick": quick}
    for job, compared in (("steps", compare_steps), ("whole", compare_whole)):
        try:
            expected = _follow(job, PLAIN, arguments)
        except JobError as error:
            yield Result(f"tracking, {PLAIN.name}", "FAIL", f"its process {error}")
            continue
        for way in ways(devices):
            try:
                yield from compared(way.name, _follow(job, way, arguments), expected)
            except JobError as error:
                yield Result(f"tracking, {way.name}", "FAIL", f"its process {error}")


def _follow(job: str, way: Way, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a job yields, in a process for itself: networks, once made, keep the precision of their multiplications."""
    return next(run_job(f"{__name__}:{job}", SECONDS, way.environment, device=way.device, **arguments))


def compare_steps(way: str, found: dict[str, Any], expected: dict[str, Any]) -> Iterator[Result]:
    """What :func:`steps` gave in one way, against plain PyTorch."""
    a, b = np.array(found["steps"]), np.array(expected["steps"])
    distance, iou = np.abs(a - b).max(1), overlap(a, b)
    share = float((distance <= CLOSE).mean())
    good = share >= SHARE and iou.min() >= SAME_TARGET
    detail = (
        f"{share:.0%} of {len(a)} boxes within {CLOSE} px of plain PyTorch's (at least {SHARE:.0%}), median "
        f"{np.median(distance):.1e} px; smallest IoU {iou.min():.3f} (at least {SAME_TARGET})"
    )
    figures = {"distances": distance.tolist(), "ious": iou.tolist()}
    yield Result(f"tracking from the same state, {way}", "PASS" if good else "FAIL", detail, figures)


def compare_whole(way: str, found: dict[str, Any], expected: dict[str, Any]) -> Iterator[Result]:
    """What :func:`whole` gave in one way, against plain PyTorch."""
    truth = np.array(found["truth"])
    ours, theirs = (float(np.nanmean(overlap(np.array(x["boxes"]), truth))) for x in (found, expected))
    detail = f"mean IoU {ours:.3f} over {len(truth)} frames of {found['name']}; plain PyTorch has {theirs:.3f}"
    good = ours >= theirs - QUALITY
    yield Result(f"tracking a sequence, {way}", "PASS" if good else "FAIL", detail, {"iou": ours, "plain": theirs})
    first, second, *rest = found["seconds"]
    median = statistics.median(rest)
    detail = f"{1 / median:.0f} frames/s ({1e3 * median:.1f} ms); first frame {first:.2f} s, second {second:.2f} s"
    yield Result(f"speed of `atom ebm`, {way}", "info", detail, {"seconds": found["seconds"]})


def steps(device: str, sequence: str | None, quick: bool) -> Iterator[dict[str, Any]]:
    """The job: the boxes of single frames after first ones, in full float32."""
    use_full_float32()
    _, frames, boxes = _frames(sequence, 12 if quick else FRAMES)
    tracker = Tracker("atom", "ebm", device)
    usable = [k for k in range(len(frames) - 1) if np.isfinite(boxes[k]).all() and boxes[k, 2:].min() > 1]
    found = []
    for start in usable[:: max(1, len(usable) // (4 if quick else STARTS))]:
        tracker.initialize(frames[start], boxes[start])
        found.append(tracker.track(frames[start + 1]).box.tolist())
    yield {"steps": found}


def whole(device: str, sequence: str | None, quick: bool) -> Iterator[dict[str, Any]]:
    """The job: the boxes of a sequence and the time of each, as a user has them."""
    name, frames, boxes = _frames(sequence, 12 if quick else FRAMES)
    seconds, tracked = [], []
    tracker = Tracker("atom", "ebm", device)
    for k, frame in enumerate(frames):
        start = time.perf_counter()
        out = tracker.track(frame) if k else tracker.initialize(frame, boxes[0])
        seconds.append(time.perf_counter() - start)  # the box is on the CPU: a GPU has done its work
        tracked.append(out.box.tolist())
    yield {"name": name, "truth": boxes.tolist(), "boxes": tracked, "seconds": seconds}


def _frames(sequence: str | None, count: int) -> tuple[str, list[np.ndarray], np.ndarray]:
    """The name of a sequence, its first images, and their true boxes in the tracker's coordinates."""
    if sequence is None:
        scene = benchmark_scene("rotation")
        return "a generated sequence", [scene.render(k) for k in range(count)], scene.boxes()[:count]
    given = find_sequence(Path(sequence))
    return given.name, [read_image(f) for f in given.frames[:count]], given.to_tracker(given.ground_truth[:count])


def find_sequence(folder: Path) -> TrackingSequence:
    """The first sequence of a folder.

    Raises:
        UserError: if there is none, or it cannot be read.
    """
    return next(iter(get_dataset(folder.resolve())))
