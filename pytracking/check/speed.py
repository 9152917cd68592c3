"""PrRoIPool's kernels beside its torch form, in milliseconds, at the size of a frame and of a training."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

import torch

from ltr.ops import kernels, reference
from pytracking.check.results import Result

SECONDS = 0.25  # for one figure


class Size(NamedTuple):
    name: str
    batch: int
    map: int  # cells of a side
    boxes: int  # of each image
    bins: int
    side: float  # of a box, in cells


SIZES = [
    Size("a frame", 1, 36, 10, 5, 7),
    Size("128 large boxes", 1, 36, 128, 5, 18),
    Size("training", 8, 36, 128, 5, 7),
]
CHANNELS = 256


def run(device: str, quick: bool) -> Iterator[dict]:
    """The job: results as plain data."""
    if not kernels.FOUND[device].loaded:
        return
    for dtype in (torch.float32, torch.bfloat16) if device == "cuda" else (torch.float32,):
        for size in SIZES[:1] if quick else SIZES:
            yield asdict(_compare(device, dtype, size, SECONDS / 10 if quick else SECONDS))


def _compare(device: str, dtype: torch.dtype, size: Size, seconds: float) -> Result:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(size.batch, CHANNELS, size.map, size.map, generator=random)
    side = size.side * (0.6 + 0.8 * torch.rand(size.batch * size.boxes, 2, generator=random))
    corner = (size.map - side) * torch.rand(side.shape, generator=random)
    boxes = torch.cat([corner, corner + side], dim=1).to(device).requires_grad_()
    features = features.to(device, dtype, memory_format=torch.channels_last).requires_grad_()
    bins = (size.bins, size.bins, 1.0)
    graph = reference.prroi_pool(features, boxes, *bins)
    grad = torch.ones_like(graph)
    gradient = partial(torch.autograd.grad, graph, grad_outputs=grad, retain_graph=True)
    ops = torch.ops.ebm_regression
    calls: dict[str, list[Callable[[], Any]]] = {
        "torch": [
            partial(reference.prroi_pool, features, boxes, *bins),
            partial(gradient, features),
            partial(gradient, boxes),
        ],
        "kernel": [
            partial(ops.prroi_pool, features, boxes, *bins),
            partial(ops.prroi_pool_backward_features, grad, boxes, *bins, None, size.batch, size.map, size.map),
            partial(ops.prroi_pool_backward_boxes, grad, features, boxes, *bins),
        ],
    }
    with torch.no_grad():
        times = {form: [_seconds(call, device, seconds) for call in of_form] for form, of_form in calls.items()}
    parts = [
        f"{what} {1e3 * ours:.3f} ms ({theirs / ours:.1f} times as fast as torch)"
        for what, ours, theirs in zip(
            ("forward", "in features", "in boxes"), times["kernel"], times["torch"], strict=True
        )
    ]
    label = f"speed of PrRoIPool, {device}, {str(dtype).removeprefix('torch.')}, {size.name}"
    return Result(label, "info", ", ".join(parts), {**size._asdict(), **times})


def _seconds(call: Callable[[], Any], device: str, budget: float) -> float:
    """The median time of a call."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    call()
    wait()
    taken: list[float] = []
    end = time.perf_counter() + budget
    while len(taken) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(4):
            call()
        wait()
        taken.append((time.perf_counter() - start) / 4)
    return statistics.median(taken)
