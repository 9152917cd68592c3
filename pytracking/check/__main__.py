"""python -m pytracking.check: whether this machine's GPU and kernels compute what plain PyTorch computes."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ltr.common.command_line import CommandParser
from ltr.common.errors import UserError, cli_main
from ltr.common.files import write_json, writing
from ltr.common.provenance import provenance
from pytracking.check import machine, refusals, tracking, training
from pytracking.check.jobs import JobError, run_job
from pytracking.check.results import Result

PARTS = ("machine", "kernels", "operators", "refusals", "networks", "tracking", "training", "speed")
SECONDS = 120.0  # of a part's process; the longest takes a fifth of that

Part = Callable[[], Iterator[Result]]


def _in_process(module: str, devices: Sequence[str], **arguments: Any) -> Iterator[Result]:
    """The results of a part whose job computes on one device."""
    for device in devices:
        try:
            for found in run_job(f"pytracking.check.{module}:run", SECONDS, device=device, **arguments):
                yield Result(**found)
        except JobError as error:
            yield Result(f"{module}, {device}", "FAIL", f"its process {error}")


def parts(devices: Sequence[str], sequence: Path | None, quick: bool) -> dict[str, Part]:
    """What is checked, in its order. The kernels come before all that loads them."""
    return {
        "machine": lambda: machine.machine(devices),
        "kernels": lambda: machine.kernel_libraries(devices),
        "operators": lambda: _in_process("operators", devices, quick=quick),
        "refusals": lambda: refusals.run(devices, quick),
        "networks": lambda: _in_process("networks", devices),
        "tracking": lambda: tracking.run(devices, sequence, quick),
        "training": lambda: training.run(devices, quick),
        "speed": lambda: _in_process("speed", devices, quick=quick),
    }


def check(todo: dict[str, Part], log: Path | None, device: str) -> Counter[str]:
    """Runs the parts, prints each result when it is known, and returns how many there are of each state."""
    counts: Counter[str] = Counter()
    report: dict[str, Any] = {"machine": provenance(device=device), "results": []}
    for name, part in todo.items():
        start = time.monotonic()
        for result in part():
            counts[result.state] += 1
            print(result.line(), flush=True)
            report["results"].append({"part": name, **asdict(result), "after": time.monotonic() - start})
            if log is not None:
                with writing(log, "name another file with --json"):
                    write_json(log, report)
    return counts


@cli_main
def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 if a check failed, else 0."""
    parser = CommandParser(
        prog="python -m pytracking.check",
        description="Build the kernels, and compare a GPU and the kernels with plain PyTorch: operators, networks, a "
        "tracked sequence, ten steps of training. Three minutes; without a GPU it checks the CPU's kernels.",
        examples="""\
examples:
  python -m pytracking.check --json check.json
  python -m pytracking.check operators refusals --device cpu
  python -m pytracking.check tracking --sequence /data/otb/David""",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)} (all)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="check this one alone (default: all that there are)")
    parser.add_argument("--sequence", type=Path, metavar="FOLDER", help="with images and boxes (a generated one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep results and figures, with machine and versions")
    parser.add_argument("--quick", action="store_true", help="less of everything: to see that it runs")
    options = parser.parse_args(argv)
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda was asked for, but PyTorch finds no CUDA device; leave it out")
    devices = [options.device] if options.device else ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    if options.sequence is not None:
        tracking.find_sequence(options.sequence)
    start = time.monotonic()
    todo = parts(devices, options.sequence and options.sequence.resolve(), options.quick)
    chosen = {name: part for name, part in todo.items() if name in (options.parts or PARTS)}
    counts = check(chosen, options.json, devices[-1])
    seconds = time.monotonic() - start
    print(f"\n{counts['PASS']} passed, {counts['FAIL']} failed, {counts['SKIP']} skipped in {seconds:.0f} s")
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
