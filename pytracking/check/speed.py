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

Calls = tuple[Callable[[], Any], Callable[[], Any]]
"""The same by the torch form and by the kernel."""


class Size(NamedTuple):
    name: str
    batch: int
    channels: int
    map: int  # cells of a side
    boxes: int  # of each image
    bins: int
    side: float  # mean side of a box, in cells


FRAME = Size("tracking, stride 8", 1, 256, 36, 10, 5, 7)
LARGE = Size("128 large boxes", 1, 256, 36, 128, 5, 18)
TRAINING = Size("training, stride 8", 8, 256, 36, 128, 5, 7)


def run(device: str, quick: bool) -> Iterator[dict]:
    """The job: results as plain data."""
    if not kernels.FOUND[device].loaded:
        return
    for dtype in (torch.float32, torch.bfloat16) if device == "cuda" else (torch.float32,):
        for size in (FRAME,) if quick else (FRAME, LARGE, TRAINING):
            yield asdict(_compare(device, dtype, size, SECONDS / 10 if quick else SECONDS))


def _compare(device: str, dtype: torch.dtype, size: Size, seconds: float) -> Result:
    parts: list[str] = []
    times: dict[str, list[float]] = {}
    for what, calls in pooling_calls(size, dtype, device).items():
        theirs, ours = times[what] = [_seconds(call, device, seconds) for call in calls]
        parts.append(f"{what} {1e3 * ours:.3f} ms ({theirs / ours:.1f} times as fast as torch)")
    label = f"speed of PrRoIPool, {device}, {str(dtype).removeprefix('torch.')}, {size.name}"
    return Result(label, "info", ", ".join(parts), {**size._asdict(), **times})


def pooling_calls(size: Size, dtype: torch.dtype, device: str) -> dict[str, Calls]:
    """Forward and both gradients, which are without their forward pass."""
    random = torch.Generator().manual_seed(0)
    features = torch.randn(size.batch, size.channels, size.map, size.map, generator=random)
    features = features.to(device, dtype, memory_format=torch.channels_last)
    side = size.side * (0.6 + 0.8 * torch.rand(size.batch * size.boxes, 2, generator=random))
    corner = (size.map - side) * torch.rand(side.shape, generator=random)
    boxes = torch.cat([corner, corner + side], dim=1).to(device, torch.promote_types(dtype, torch.float32))
    bins, sides = (size.bins, size.bins, 1.0), (size.batch, size.map, size.map)
    with torch.enable_grad():
        graph_features, graph_boxes = (t.clone().requires_grad_() for t in (features, boxes))
        graph = reference.prroi_pool(graph_features, graph_boxes, *bins)
    grad = torch.ones_like(graph)
    gradient = partial(torch.autograd.grad, graph, grad_outputs=grad, retain_graph=True)
    ops = torch.ops.ebm_regression
    return {
        "forward": (
            partial(reference.prroi_pool, features, boxes, *bins),
            partial(ops.prroi_pool, features, boxes, *bins),
        ),
        "gradient in features": (
            partial(gradient, graph_features),
            partial(ops.prroi_pool_backward_features, grad, boxes, *bins, None, *sides),
        ),
        "gradient in boxes": (
            partial(gradient, graph_boxes),
            partial(ops.prroi_pool_backward_boxes, grad, features, boxes, *bins),
        ),
    }


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
