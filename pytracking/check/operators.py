"""PrRoIPool's kernels in each precision against its torch form in float64 on the CPU: values and both gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import NamedTuple

import torch
from torch import Tensor

from ltr.ops import kernels, reference
from pytracking.check.results import Result, largest, relative_error, within

LIMITS = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 4e-3, torch.bfloat16: 2e-2}
"""Largest errors, relative to the largest number of the result."""


class Case(NamedTuple):
    batch: int
    channels: int
    height: int
    width: int
    boxes: int  # of each image
    rows: int
    columns: int
    mixed: bool = False  # whether boxes come in any order, with an index


CASES = [
    Case(1, 256, 36, 36, 10, 5, 5),  # a frame's, at stride 8
    Case(1, 256, 18, 18, 10, 3, 3),  # and at stride 16
    Case(4, 64, 36, 36, 64, 5, 5),  # a training's
    Case(3, 30, 20, 70, 20, 3, 4, mixed=True),
    Case(2, 33, 9, 7, 5, 2, 3),  # channels one by one
    Case(1, 8, 50, 40, 3, 33, 40),  # more bins than a warp has lanes
]


def run(device: str, quick: bool) -> Iterator[dict]:
    """The job: results as plain data."""
    for result in compare(device, CASES[:4:3] if quick else CASES):
        yield asdict(result)


def compare(device: str, cases: list[Case]) -> Iterator[Result]:
    """A result for each operator and precision, and one for their repeatability."""
    ops = torch.ops.ebm_regression
    detail = kernels.FOUND[device].detail
    if not kernels.FOUND[device].loaded:
        yield Result(f"kernels of PrRoIPool, {device}", "SKIP", f"the torch form serves; kernels: {detail}")
        return
    repeatable = True
    for dtype, limit in LIMITS.items():
        errors = {name: 0.0 for name in ("value", "gradient in features", "gradient in boxes")}
        for number, case in enumerate(cases):
            inputs = _inputs(case, number, dtype)
            exact = _results(reference.prroi_pool, case, [t.double() for t in inputs[:3]], inputs[3])
            on_device = [t.to(device) for t in inputs[:3]]
            index = None if inputs[3] is None else inputs[3].to(device)
            found, again = (_results(ops.prroi_pool, case, on_device, index) for _ in range(2))
            repeatable &= all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
            for name, a, b in zip(errors, found, exact, strict=True):
                errors[name] = largest([errors[name], relative_error(a, b)])
        for name, error in errors.items():
            label = f"PrRoIPool's {name}, {device}, {str(dtype).removeprefix('torch.')}"
            yield within(label, error, limit, f"{len(cases)} sizes")
    same = "the same bits when called again" if repeatable else "other bits when called again"
    yield Result(f"PrRoIPool, {device}", "PASS" if repeatable else "FAIL", same)


def _inputs(case: Case, seed: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Features, boxes, gradient of the pooled values, and each box's image, on the CPU and rounded to `dtype`.

    Boxes lie inside, across the border and outside; one cannot be pooled. A bin is not shorter than 0.4 cells, so that
    rounding a corner moves little of what it holds.
    """
    random = torch.Generator().manual_seed(seed)
    count = case.batch * case.boxes
    size = torch.tensor([case.width, case.height])
    side = 0.4 * torch.tensor([case.columns, case.rows]) + torch.rand(count, 2, generator=random) * size * 0.7
    corner = torch.rand(count, 2, generator=random) * (size + 2) - 1 - side / 2
    boxes = torch.cat([corner, corner + side], dim=1)
    boxes[0, 2] = boxes[0, 0] - 1
    features = torch.randn(case.batch, case.channels, case.height, case.width, generator=random)
    grad = torch.randn(count, case.channels, case.rows, case.columns, generator=random)
    index = torch.randint(case.batch, (count,), generator=random) if case.mixed else None
    wide = torch.promote_types(dtype, torch.float32)
    return features.to(dtype), boxes.to(wide), grad.to(dtype), index


def _results(pool: Callable, case: Case, given: list[Tensor], index: Tensor | None) -> list[Tensor]:
    """Pooled values and the gradients in features and boxes."""
    features, boxes = (t.detach().requires_grad_() for t in given[:2])
    pooled = pool(features, boxes, case.rows, case.columns, 1.0, index)
    return [pooled.detach(), *torch.autograd.grad(pooled, (features, boxes), given[2])]
