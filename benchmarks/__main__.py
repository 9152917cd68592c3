"""Speed and memory of everything that is meant to be fast. One command, one report:

    python -m benchmarks                         # everything that this machine can time
    python -m benchmarks kernels frame           # parts of it
    python -m benchmarks --json bench.json --device cuda

Nothing here asserts anything about time: the tests beside it say whether results are right.
"""

import argparse
import importlib
import sys
from pathlib import Path

from ltr.common.device import usable_device
from ltr.common.errors import cli_main
from ltr.common.files import write_json
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


@cli_main
def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time everything that is meant to be fast.",
        epilog="parts: " + "; ".join(f"{name}: {what}" for name, what in PARTS.items()),
    )
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(PARTS)} (all)")
    parser.add_argument("--json", type=Path, help="write the numbers, with machine and versions, into this file")
    parser.add_argument("--device", default="cpu", help="cpu (the default), cuda, ...")
    parser.add_argument("--quick", action="store_true", help="few repeats: to see that it runs, not to quote")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    usable_device(options.device)
    report = {"machine": provenance(device=options.device), "parts": {}}
    for name in options.parts or PARTS:
        report["parts"][name] = tables = []
        for table in importlib.import_module(f"benchmarks.{name}").run(options.device, options.quick):
            print(f"\n{table.text()}", flush=True)
            tables.append({"title": table.title, "rows": table.records, "notes": table.notes})
            if options.json:
                write_json(options.json, report)  # what is measured stays, whatever comes after
    return 0


if __name__ == "__main__":
    sys.exit(main())
