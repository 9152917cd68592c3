"""PrRoIPool: the compiled kernels against the torch form, and against what the memory would allow."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.timing import Table, budget, milliseconds, time_in_turn
from ltr.ops import kernels, reference


class Size(NamedTuple):
    name: str
    batch: int
    channels: int
    map: int  # cells of a side
    boxes: int  # of each image
    bins: int
    side: float  # mean side of a box, in cells


SIZES = [
    Size("tracking, stride 8", 1, 256, 36, 10, 5, 7),
    Size("tracking, stride 16", 1, 256, 18, 10, 3, 3.6),
    Size("128 boxes", 1, 256, 36, 128, 5, 7),
    Size("128 large boxes", 1, 256, 36, 128, 5, 18),
    Size("training, stride 8", 8, 256, 36, 128, 5, 7),
    Size("training, stride 16", 8, 256, 18, 128, 3, 3.6),
]
DTYPES = {"cpu": [torch.float32, torch.float64], "cuda": [torch.float32, torch.bfloat16, torch.float64]}


def run(device: str, quick: bool) -> Iterator[Callable[[], Table]]:
    yield partial(_table, device, quick)


def _table(device: str, quick: bool) -> Table:
    """`ratio` is the torch form's median over the kernel's, `of floor` the time that moving the bytes takes
    at the speed of a copy over the kernel's median."""
    kind = torch.device(device).type
    kernel = kernels.FOUND.get(kind)
    table = Table(
        f"PrRoIPool on {device}: milliseconds, the kernel against the torch form",
        ["size", "dtype", "what", "torch", "kernel", "ratio", "of floor"],
    )
    if kernel is None or not kernel.loaded:
        table.notes.append(f"no kernels on {device}: {kernel.detail if kernel else 'none are written for it'}")
        return table
    bandwidth = _copy_bandwidth(device, quick)
    cases = list(itertools.product(DTYPES[kind], SIZES[:3] if quick else SIZES))
    for dtype, size in table.within_budget(cases, lambda case: f"{case[1].name}, {_name(case[0])}"):
        for what, (torch_form, compiled, size_bytes) in budget.share(_functions(size, dtype, device).items()):
            times = time_in_turn(
                {"torch": torch_form, "kernel": compiled},
                device,
                repeats=3 if quick else 15,
                at_least=0.002 if quick else 0.02,
                warmup=1 if quick else 3,
            )
            ratio = times["torch"].median / times["kernel"].median
            floor = size_bytes / bandwidth
            share = floor / times["kernel"].median
            cells = [milliseconds(times[form].median) for form in ("torch", "kernel")]
            table.add(
                [size.name, _name(dtype), what, *cells, f"{ratio:.1f}", f"{100 * share:.0f} %"],
                **size._asdict(),
                dtype=_name(dtype),
                what=what,
                **{form: timing.__dict__ for form, timing in times.items()},
                ratio=ratio,
                bytes=size_bytes,
                share_of_floor=share,
            )
    table.notes += [
        f"Kernels: {kernel.detail}." + (f" {torch.get_num_threads()} threads." if kind == "cpu" else ""),
        f"A copy of 256 MB moves {bandwidth / 1e9:.1f} GB/s, read and written. The floor counts the map once (read, or",
        "written as its gradient) and the pooled values or their gradient once; a map that stays in a cache beats it.",
        "Torch's gradients are autograd's through the torch form, without its forward pass.",
    ]
    return table


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _copy_bandwidth(device: str, quick: bool) -> float:
    """Bytes a second, read and written."""
    source = torch.ones(64 << 20, device=device)
    target = torch.empty_like(source)
    timing = time_in_turn({"copy": lambda: target.copy_(source)}, device, repeats=3 if quick else 9)["copy"]
    return 2 * source.nbytes / timing.median


def _functions(size: Size, dtype: torch.dtype, device: str) -> dict[str, tuple[Callable, Callable, int]]:
    """Of forward and both gradients: the torch form, the kernel, and the bytes that have to be moved."""
    ops = torch.ops.ebm_regression
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    batch, channels, cells, bins = size.batch, size.channels, size.map, size.bins
    features = (random(batch, channels, cells, cells) - 0.5).to(device, dtype, memory_format=torch.channels_last)
    side = size.side * (0.6 + 0.8 * random(batch * size.boxes, 2))
    corner = (cells - side) * random(batch * size.boxes, 2)
    boxes = torch.cat([corner, corner + side], dim=1).to(device, torch.promote_types(dtype, torch.float32))
    arguments = (boxes, bins, bins, 1.0)
    pooled = ops.prroi_pool(features, *arguments)
    grad = torch.rand_like(pooled)

    differentiable = [t.clone().requires_grad_() for t in (features, boxes)]
    with torch.enable_grad():
        graph = reference.prroi_pool(*differentiable, bins, bins, 1.0)

    def torch_gradient(i: int) -> Callable:
        return lambda: torch.autograd.grad(graph, differentiable[i], grad, retain_graph=True)

    both = features.nbytes + pooled.nbytes
    return {
        "forward": (
            lambda: reference.prroi_pool(features, *arguments),
            lambda: ops.prroi_pool(features, *arguments),
            both,
        ),
        "gradient in features": (
            torch_gradient(0),
            lambda: ops.prroi_pool_backward_features(grad, *arguments, None, batch, cells, cells),
            both,
        ),
        "gradient in boxes": (
            torch_gradient(1),
            lambda: ops.prroi_pool_backward_boxes(grad, features, *arguments),
            both,
        ),
    }
