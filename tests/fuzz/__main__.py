"""Fuzz the readers of files: `python -m tests.fuzz [--seconds N] [--seed S] [--save FOLDER] [kind ...]`.

Small valid files are damaged in their bytes and in their structure, and each is read in a process of its own. The table
counts what became of them. Inputs that end in a traceback, a crash or a hang are saved with what explains it, and the
exit code is then 1.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ltr.common.errors import cli_main
from tests.fuzz.run import OUTCOMES, READ, REFUSED, run_in_process
from tests.fuzz.targets import KINDS, Target, make_targets


def fuzz(target: Target, number: int, seed: int, folder: Path) -> tuple[str, str, Path]:
    """Read input `number` of a target: the outcome, what explains it, and the file."""
    rng = random.Random(f"{seed}-{target.name}-{number}")
    mutation = rng.choice(target.mutations)
    content = mutation(target.content, rng)
    file = folder / target.name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    outcome, why = run_in_process(lambda: target.read(file))
    return outcome, why, file


def run(kinds: Sequence[str], seconds: float, seed: int, save: Path | None) -> dict[str, Counter]:
    """Fuzz kinds of files, each for its share of the seconds; counts of outcomes by kind."""
    counts = {kind: Counter[str]() for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EBM_CACHE"] = str(Path(folder) / "cache")  # nothing of this is remembered elsewhere
        for kind in kinds:
            targets = make_targets(kind, Path(folder) / kind)
            end, number = time.monotonic() + seconds / len(kinds), 0
            while number < len(targets) or time.monotonic() < end:
                target = targets[number % len(targets)]
                outcome, why, file = fuzz(target, number, seed, Path(folder) / kind / "input")
                counts[kind][outcome] += 1
                if outcome not in (READ, REFUSED):
                    print(f"{kind} {target.name} {number}: {outcome}\n{why}", file=sys.stderr)
                    if save is not None:
                        save.mkdir(parents=True, exist_ok=True)
                        (save / f"{kind}-{number}-{Path(target.name).name}").write_bytes(file.read_bytes())
                number += 1
    return counts


def table(counts: dict[str, Counter]) -> str:
    """The counts, a line for each kind, as Markdown."""
    rows = [["", "inputs", *OUTCOMES]]
    for kind, found in counts.items():
        rows.append([kind, str(sum(found.values())), *(str(found[outcome]) for outcome in OUTCOMES)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


@cli_main
def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the readers of files.")
    parser.add_argument("kinds", nargs="*", metavar="kind", help=f"any of {', '.join(KINDS)} (all)")
    parser.add_argument("--seconds", type=float, default=60, help="for all kinds together (60)")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (0)")
    parser.add_argument("--save", type=Path, default=Path("fuzz_failures"), help="folder of inputs that gave way")
    options = parser.parse_args(argv)
    unknown = [kind for kind in options.kinds if kind not in KINDS]
    if unknown:
        parser.error(f"there is no kind {unknown[0]}: give any of {', '.join(KINDS)}")
    counts = run(options.kinds or KINDS, options.seconds, options.seed, options.save)
    print(table(counts))
    return 1 if any(found.keys() - {READ, REFUSED} for found in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
