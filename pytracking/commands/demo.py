"""ebm-demo: ATOM, ATOM* and the EBM on a generated benchmark, and the EBM on a real clip.

It needs no network, no data and no display. A second run takes over what the first finished; Ctrl-C loses at most the
sequence under way.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ltr.common.command_line import CommandParser
from ltr.common.errors import cli_main
from pytracking.demo.benchmark import run_benchmark
from pytracking.demo.clip import find_clip, track_clip
from pytracking.evaluation import TrackerSpec

SYSTEMS = {"ATOM": "default", "ATOM*": "atom_star", "EBM": "ebm"}
"""The paper's three systems, by their names there, and their parameter files."""


def demo(out: Path, specs: Mapping[str, TrackerSpec], clip: Path) -> int:
    """Run both parts; `specs` are the trackers by name, of which 'EBM' tracks the clip. Returns the exit code."""
    start = time.monotonic()
    failed = run_benchmark(out, specs)
    print()
    track_clip(out, specs["EBM"], clip)
    print(f"\nDone in {time.monotonic() - start:.0f} s. Look at these first:")
    for name, content in {
        "carphone_ebm.png": "the clip in eight frames, with the density around the box",
        "carphone_ebm.mp4": "the whole clip, with the box",
        "benchmark.png": "the three trackers beside the truth",
        "scores/table.txt": "the table, and one by sequence; results.json has all the numbers",
    }.items():
        print(f"  {out / name}  {content}")
    print("Next, your own sequences (a folder for each), or a benchmark such as OTB:")
    print(f"  {_console('ebm-track', 'track')} atom ebm --dataset_name /path/to/sequences --debug 1")
    print(f"  {_console('ebm-analyse', 'analyse')} --dataset_name /path/to/sequences")
    return 1 if failed else 0


def _console(command: str, module: str) -> str:
    """How to start another command from here, also if its virtual environment is not activated."""
    script = Path(sys.executable).with_name(command)
    program = script if script.is_file() else Path(sys.executable)
    shown = program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program
    return str(shown) if script.is_file() else f"{shown} -m pytracking.commands.{module}"


@cli_main
def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code: 0, or 1 if a sequence failed."""
    parser = CommandParser(
        prog="ebm-demo",
        description="Track a generated benchmark and a real clip. Needs no data and no network.",
        examples="""\
example:
  ebm-demo --out /tmp/demo --device cpu""",
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="FOLDER", help="for all results (./demo)")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    options = parser.parse_args(argv)
    specs = {name: TrackerSpec("atom", param, options.device) for name, param in SYSTEMS.items()}
    return demo(options.out, specs, find_clip())


if __name__ == "__main__":
    sys.exit(main())
