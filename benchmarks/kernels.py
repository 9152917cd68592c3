"""PrRoIPool: the compiled kernels against the torch form, and against what the memory would allow."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial

import torch

from benchmarks.timing import Table, budget, milliseconds, time_in_turn
from ltr.ops import kernels
from pytracking.check.speed import FRAME, LARGE, TRAINING, Size, pooling_calls

SIZES = [
    FRAME,
    Size("tracking, stride 16", 1, 256, 18, 10, 3, 3.6),
    Size("128 boxes", 1, 256, 36, 128, 5, 7),
    LARGE,
    TRAINING,
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
        size_bytes = _bytes(size, dtype)
        for what, (torch_form, compiled) in budget.share(pooling_calls(size, dtype, device).items()):
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


def _bytes(size: Size, dtype: torch.dtype) -> int:
    """Of the map, and of the pooled values: what has to be moved."""
    values = size.map**2 + size.boxes * size.bins**2
    return size.batch * size.channels * values * dtype.itemsize
