"""Train a system of the paper: ebm-train <module> <name> [--setting value ...]

    ebm-train bbreg ebm
    ebm-train bbreg ebm --batch_size 16 --optimizer.lr 5e-4 --run_name small_batch
    torchrun --nproc-per-node 2 -m ltr.commands.train bbreg ebm  # many machines: docs/training.md

Checkpoints, curves and the final weights go to {workspace}/checkpoints/ltr/<module>/<name>/. Ctrl-C
saves the state and stops; the same command continues from there. `ebm-train bbreg ebm --help` lists
the settings of a system. Two options belong to the run and not to its settings:

    --run_name NAME   use the folder NAME instead of <name>
    --restart         delete the run's checkpoints and start anew
"""

from __future__ import annotations

import logging
import os
import socket
import sys

import torch

from ltr.commands.usage import parse_settings, usage_status, with_list
from ltr.common.command_line import CommandParser
from ltr.common.environment import get_path
from ltr.common.errors import cli_main
from ltr.evaluation.trainings.training import Training
from ltr.train_settings.registry import available_settings, current_name, load_settings
from ltr.trainers.processes import OtherProcessError, started_by_torchrun


@cli_main
def main(argv: list[str] | None = None) -> int:
    """Returns 0 when the training is complete, 128 + signal (Ctrl-C: 130) when it was stopped and its state saved."""
    argv = sys.argv[1:] if argv is None else argv
    log_from_first_process()
    known = {module: " ".join(names) for module, names in available_settings().items()}
    status = usage_status(argv, 2, with_list(__doc__, "Modules and names:", known))
    if status is not None:
        return status
    # the options of the run itself; what this parser does not know are settings
    parser = CommandParser(prog="ebm-train", add_help=False)
    parser.add_argument("--run_name")
    parser.add_argument("--restart", action="store_true")
    parser.add_argument("--cudnn_benchmark", nargs="?", const="1")  # PyTracking's, where it is on unless told otherwise
    own, rest = parser.parse_known_args(argv[2:])
    if own.cudnn_benchmark is not None:
        torch.backends.cudnn.benchmark = own.cudnn_benchmark.lower() not in ("0", "false", "no")
    module, name = argv[0], current_name(*argv[:2])
    if name != argv[1]:
        print(f"{argv[1]} is PyTracking's name of {name}, which is trained")
    recipe = load_settings(module, name)
    settings = parse_settings(recipe, f"ebm-train {module} {name} [--run_name NAME] [--restart]", rest)

    folder = get_path("workspace", settings.workspace) / "checkpoints" / "ltr" / module / (own.run_name or name)
    try:
        trainer = Training(module, name, settings, folder).train(own.restart)
    except OtherProcessError:
        if os.environ["LOCAL_RANK"] != "0":  # one process of each machine says why all end
            return 2
        raise
    trainer.processes.close()
    return 0 if trainer.stop_signal is None else 128 + trainer.stop_signal


def log_from_first_process() -> None:
    """Log to standard error: all from the first process, warnings from one of each machine, errors from the others."""
    by_torchrun = started_by_torchrun()
    rank, local_rank = (os.environ[name] if by_torchrun else "0" for name in ("RANK", "LOCAL_RANK"))
    level = logging.INFO if rank == "0" else logging.WARNING if local_rank == "0" else logging.ERROR
    place = "" if rank == "0" else f"process {rank} on {socket.gethostname()}: "
    logging.basicConfig(level=level, format=f"%(levelname)s: {place}%(message)s")


if __name__ == "__main__":
    sys.exit(main())
