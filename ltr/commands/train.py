"""Train a system: `python ltr/run_training.py <module> <name> [--field value ...]`, for instance

    python ltr/run_training.py bbreg ebm --batch_size 16 --optimizer.lr 5e-4
    torchrun --nproc-per-node 2 ltr/run_training.py bbreg ebm

The settings of a system and their meaning: `python ltr/run_training.py bbreg ebm --help`. Checkpoints, curves and the
final weights go to {workspace}/checkpoints/ltr/<module>/<name>/. Ctrl-C saves the state and stops; the same command
goes on from there. Two options belong to the run and not to its settings:

    --run_name NAME   use the folder NAME instead of <name>
    --restart         delete the run's checkpoints and start anew
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType

import torch
import tyro

from ltr import train_settings
from ltr.common.environment import get_path
from ltr.common.errors import UserError, cli_main
from ltr.common.seeds import seed_for_build
from ltr.trainers.trainer import Trainer


def available_settings() -> dict[str, list[str]]:
    """Names of the settings files of each module: those that define `settings()`."""
    found: dict[str, list[str]] = {}
    for file in sorted((Path(train_settings.__path__[0])).glob("*/*.py")):
        if "\ndef settings(" in file.read_text(encoding="utf-8"):
            found.setdefault(file.parent.name, []).append(file.stem)
    return found


def load_settings(module: str, name: str) -> ModuleType:
    """The settings module ltr/train_settings/<module>/<name>.py."""
    known = available_settings()
    if name not in known.get(module, ()):
        listed = "; ".join(f"{m}: {', '.join(names)}" for m, names in known.items())
        raise UserError(f"there are no training settings '{module} {name}'. Those that exist are {listed}.")
    return importlib.import_module(f"ltr.train_settings.{module}.{name}")


@cli_main
def main(argv: list[str] | None = None) -> int:
    """Returns 0 when the training is complete, 128 + signal (Ctrl-C: 130) when it was stopped and its state saved."""
    argv = sys.argv[1:] if argv is None else argv
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    if len(argv) < 2 or argv[0].startswith("-") or argv[1].startswith("-"):
        print(__doc__)
        print("Modules and names:")
        for module, names in available_settings().items():
            print(f"    {module}: {', '.join(names)}")
        return 0 if {"-h", "--help"} & set(argv) else 2
    # the options of the run itself; what this parser does not know are settings
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--run_name", "--run-name")
    parser.add_argument("--restart", action="store_true")
    own, rest = parser.parse_known_args(argv[2:])
    module, name = argv[:2]
    definition = load_settings(module, name)
    default = definition.settings()
    program = f"run_training.py {module} {name} [--run_name NAME] [--restart]"
    settings = tyro.cli(type(default), default=default, args=rest, prog=program)

    folder = get_path("workspace", settings.workspace) / "checkpoints" / "ltr" / module / (own.run_name or name)
    seed_for_build(settings.seed)
    task = definition.build(settings)
    trainer = Trainer(settings, task, folder, name)
    finished = trainer.train(restart=own.restart)
    if finished and task.after_training is not None and trainer.is_first:
        task.after_training(folder)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return 0 if finished else 128 + trainer.stop_signal


if __name__ == "__main__":
    sys.exit(main())
