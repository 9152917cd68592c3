"""Calls that would read foreign memory: each in a process of its own, which has to raise ValueError and live."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from ltr.common.provenance import usable_cores
from pytracking.check.jobs import JobError, read_values
from pytracking.check.results import Result

SECONDS = 60.0
NO_KERNELS = "there are no kernels"

POOL = dict(features="zeros(2, 3, 4, 4)", boxes="zeros(4, 4)", rows="2", columns="2", scale="1.0", index="None")
GRADIENT = POOL | dict(grad="zeros(4, 3, 2, 2)")
CALLS: dict[str, tuple[str, dict[str, str]]] = {
    "features of three dimensions": ("prroi_pool", POOL | dict(features="zeros(3, 4, 4)")),
    "boxes of five numbers": ("prroi_pool", POOL | dict(boxes="zeros(4, 5)")),
    "boxes in float16": ("prroi_pool", POOL | dict(boxes="zeros(4, 4, dtype=torch.float16)")),
    "boxes that images cannot share": ("prroi_pool", POOL | dict(boxes="zeros(3, 4)")),
    "no bins": ("prroi_pool", POOL | dict(rows="0")),
    "an index that is too short": ("prroi_pool", POOL | dict(index="zeros(3, dtype=torch.int64)")),
    "an index of floats": ("prroi_pool", POOL | dict(index="zeros(4)")),
    "an index outside the batch": ("prroi_pool", POOL | dict(index="full((4,), 2)")),
    "boxes on the CPU": ("prroi_pool", POOL | dict(boxes="torch.zeros(4, 4)")),
    "a gradient of other bins": ("prroi_pool_backward_boxes", GRADIENT | dict(grad="zeros(4, 3, 2, 3)")),
    "a gradient of other channels": ("prroi_pool_backward_boxes", GRADIENT | dict(grad="zeros(4, 5, 2, 2)")),
}
ONLY_ON = {"an index outside the batch": "cpu", "boxes on the CPU": "cuda"}
"""The CUDA kernels do not wait for the index: a box outside the batch pools to zero."""

_PROGRAM = """
import functools, json
import torch
from ltr.ops import kernels
zeros, full = (functools.partial(f, device={device!r}) for f in (torch.zeros, torch.full))
if not kernels.FOUND[{device!r}].loaded:
    print(json.dumps({missing!r}))
    raise SystemExit
try:
    torch.ops.ebm_regression.{operator}({arguments})
    if {device!r} == "cuda":
        torch.cuda.synchronize()
    print(json.dumps("nothing was raised"))
except ValueError:
    print(json.dumps("ValueError"))
except Exception as error:
    print(json.dumps(type(error).__name__ + ": " + str(error).splitlines()[0]))
"""


def run(devices: Sequence[str], quick: bool) -> Iterator[Result]:
    """One result for each call, in their order."""
    calls = [(name, device) for device in devices for name in CALLS if ONLY_ON.get(name, device) == device]
    with ThreadPoolExecutor(min(8, usable_cores())) as pool:
        calls = calls[:2] if quick else calls
        for (name, device), end in zip(calls, pool.map(lambda call: _end_of(*call), calls), strict=True):
            what = f"refused, {device}: {name}"
            if end == NO_KERNELS:
                yield Result(what, "SKIP", end)
            else:
                yield Result(what, "PASS" if end == "ValueError" else "FAIL", end)


def _end_of(name: str, device: str) -> str:
    operator, given = CALLS[name]
    arguments = ", ".join(f"{key}={value}" for key, value in given.items())
    program = _PROGRAM.format(device=device, operator=operator, arguments=arguments, missing=NO_KERNELS)
    end = "nothing was printed"
    try:
        for value in read_values([sys.executable, "-c", program], SECONDS):
            end = value
    except JobError as error:
        return str(error)
    return end
