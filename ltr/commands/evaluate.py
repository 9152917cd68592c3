"""Make a table of the paper from trained networks: ebm-evaluate <task> [--option value ...]

    ebm-evaluate age --refine
    ebm-evaluate head_pose --refine --split val --runs workspace/checkpoints/ltr/head_pose/*_short_*
    ebm-evaluate detection ebm --checkpoint mine.safetensors --root /data/coco

Finds what `ebm-train <task> <system>` has trained, and prints the results beside the paper's
figures: mean and standard error where a system has several runs (`--seed 1 --run_name ebm_1`).
`ebm-evaluate <task> --help` lists the options of a task.
"""

from __future__ import annotations

import importlib
import logging
import sys

from ltr.commands.usage import usage_status, with_list
from ltr.common.errors import UserError, cli_main
from ltr.evaluation import TASKS


@cli_main
def main(argv: list[str] | None = None) -> int:
    """Returns 0."""
    argv = sys.argv[1:] if argv is None else argv
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    status = usage_status(argv, 1, with_list(__doc__, "Tasks:", TASKS))
    if status is not None:
        return status
    if argv[0] not in TASKS:
        raise UserError(f"there is no task {argv[0]!r} to evaluate; there are: {', '.join(TASKS)}")
    return importlib.import_module(f"ltr.evaluation.{argv[0]}").main(argv[1:])


if __name__ == "__main__":
    sys.exit(main())
