"""Speed and memory of everything that is meant to be fast. One command, one report:

    python -m benchmarks                         # everything that this machine can time
    python -m benchmarks kernels frame           # parts of it
    python -m benchmarks --json bench.json --device cuda

Each table is printed when it is ready, and what is being done goes to the standard error. Ctrl-C keeps what is made.
On a GPU all of it takes two minutes, which the parts share (`--seconds`): a part alone has more repeats and rows.

Nothing here asserts anything about time: the tests beside it say whether results are right.
"""

import argparse
import functools
import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

import torch

from benchmarks.report import Maker, Report
from benchmarks.timing import Table, budget, clock, progress
from ltr.common.command_line import positive_float
from ltr.common.device import usable_device
from ltr.common.errors import cli_main
from ltr.common.provenance import provenance

PARTS = {
    "kernels": "PrRoIPool's kernels against the torch form and against memory bandwidth",
    "frame": "the parts of a tracked frame, frames per second, first frame, memory",
    "objects": "several objects of one video: by themselves, and with shared passes through the network",
    "sequences": "many sequences at once on one device: by processes, and by shared passes in one",
    "engines": "a tracked frame on a CPU by ours, plain PyTorch, ONNX Runtime, OpenVINO",
    "busy": "a tracked frame on a CPU beside other programs that keep the cores busy",
    "view": "what it costs to look at a run: video, density, live view",
    "training": "training images per second: the loader and the step",
    "regression": "age and head pose: the energies of 1024 candidates, factored and plain, and images per second",
    "detection": "steps and detections of the ten detectors: images per second and memory",
    "scaling": "opening data sets of a million images; many sequences on many workers, measured and simulated",
}

OF_PROCESSORS = ("engines", "scaling")
"""Parts that time no GPU, and are left out there unless they are named."""

GPU_SECONDS = 105.0  # so that all is done in two minutes: what is called once more when the time is up takes some


@cli_main
def main() -> int:
    """Returns 1 if a table could not be made, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time everything that is meant to be fast.",
        epilog="parts: " + "; ".join(f"{name}: {what}" for name, what in PARTS.items()),
    )
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(PARTS)} (all)")
    parser.add_argument("--json", type=Path, help="write the numbers, with machine and versions, into this file")
    parser.add_argument("--device", default="cpu", help="cpu (the default), cuda, ...")
    parser.add_argument("--quick", action="store_true", help="few repeats: to see that it runs, not to quote")
    parser.add_argument(
        "--seconds", type=positive_float, metavar="N", help=f"for all of it (on a GPU {GPU_SECONDS:g}, else no limit)"
    )
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    usable_device(options.device)
    on_gpu = torch.device(options.device).type == "cuda"
    seconds = options.seconds or (GPU_SECONDS if on_gpu else float("inf"))
    progress.start = clock()
    names = options.parts or [name for name in PARTS if not (on_gpu and name in OF_PROCESSORS)]
    parts = {name: functools.partial(_tables, name, options.device, options.quick) for name in names}
    report = Report(provenance(device=options.device), options.json)
    with budget.within(seconds):
        report.run(parts)
    return int(bool(report.errors))


def _tables(name: str, device: str, quick: bool) -> Iterable[Table | Maker]:
    return importlib.import_module(f"benchmarks.{name}").run(device, quick)


if __name__ == "__main__":
    sys.exit(main())
