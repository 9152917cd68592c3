"""Kill commands at random moments, and continue them: `python -m tests.kills [--times N] [--seed S] [command ...]`.

Each command runs once undisturbed. Then it runs anew, gets a signal at a moment that is uniform over that duration, and
is given again. Its processes have to be gone within seconds of the signal, whatever counts as finished has to be so,
and in the end all files have to hold what the undisturbed command wrote, and there are no others. Exit code 1: one did
not. With --full, the command runs on a disk that is too small instead, and is given again where there is room.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from ltr.common.command_line import positive_int
from ltr.common.errors import cli_main
from tests.kills.killed import Killed, small_disk
from tests.kills.processes import WAYS
from tests.kills.workloads import WORKLOADS


def run(names: Sequence[str], times: int, seed: int, full: bool) -> list[str]:
    """Disturb workloads, and print a line for each time; returns the problems."""
    found: list[str] = []
    for name in names:
        rng = random.Random(f"{seed}-{name}")
        with tempfile.TemporaryDirectory() as folder:
            killed = Killed(WORKLOADS[name], Path(folder))
            print(f"{name}: {killed.seconds:.1f} s undisturbed, {len(killed.expected)} files", flush=True)
            for number in range(times):
                if full:
                    room, way = rng.uniform(0, killed.size), "full disk"
                    where = f"{room / 1e3:6.0f} kB"
                    ended, problems = killed.fill(int(room), small_disk)
                else:
                    moment, way = rng.uniform(0, killed.seconds), WAYS[number % len(WAYS)]
                    where = f"{moment:6.2f} s"
                    ended, problems = killed.disturb(moment, way)
                what = "; ".join(problems) or "as undisturbed"
                print(f"  {number + 1:3d}  {where}  {way:16s} {ended}: {what}", flush=True)
                found += [f"{name}, {where}, {way}: {problem}" for problem in problems]
    return found


@cli_main
def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("commands", nargs="*", metavar="command", help=f"any of {', '.join(WORKLOADS)} (all)")
    parser.add_argument("--times", type=positive_int, default=20, help="of each command (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--full", action="store_true", help="instead of signals, disks of random sizes; needs root")
    options = parser.parse_args(argv)
    unknown = [name for name in options.commands if name not in WORKLOADS]
    if unknown:
        parser.error(f"there is no command {unknown[0]}: give any of {', '.join(WORKLOADS)}")
    torch.set_num_threads(1)  # a process with threads cannot be forked safely
    problems = run(options.commands or list(WORKLOADS), options.times, options.seed, options.full)
    print(f"{len(problems)} problems")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
