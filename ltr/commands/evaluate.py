"""Make a table of the paper from trained networks: `python ltr/run_evaluation.py <task> [--option value ...]`, such as

    python ltr/run_evaluation.py age --refine
    python ltr/run_evaluation.py head_pose --refine --split val --runs workspace/checkpoints/ltr/head_pose/*_short_*
    python ltr/run_evaluation.py detection ebm --checkpoint mine.safetensors --root /data/coco

It finds what `python ltr/run_training.py <task> <system>` has trained, several runs of a system where there are
(`--seed 1 --run_name ebm_1`), and prints their mean and standard error beside the paper's figures. Options of a task:
`python ltr/run_evaluation.py <task> --help`.
"""

from __future__ import annotations

import importlib
import logging
import sys

from ltr.common.errors import UserError, cli_main
from ltr.evaluation import TASKS


@cli_main
def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    if not argv or argv[0].startswith("-"):
        print(__doc__)
        print("Tasks:")
        for task, what in TASKS.items():
            print(f"    {task}: {what}")
        return 0 if {"-h", "--help"} & set(argv) else 2
    if argv[0] not in TASKS:
        raise UserError(f"there is no task {argv[0]!r} to evaluate; there are: {', '.join(TASKS)}")
    return importlib.import_module(f"ltr.evaluation.{argv[0]}").main(argv[1:])


if __name__ == "__main__":
    sys.exit(main())
