"""Do all trainings of a table of the paper: ebm-reproduce <task> [--setting value ...]

    ebm-reproduce age --seeds 0 1 2
    ebm-reproduce age --jobs 2 --encoder.name efficientnet_lite0 --encoder.frozen_copies 2
    ebm-reproduce head_pose --systems gaussian ebm --gaussian.initial_scale 45
    ebm-reproduce bbreg --seeds 0 1 2 --jobs 2

The table comes at the end. Finished trainings are skipped and stopped ones continue, so that the
same command goes on after Ctrl-C or a failure. A training that fails is named, with its log, and
the others go on; the exit code is then 1. Runs are those of `ebm-train <task> <system> --run_name
<system>_<seed>`. All its settings work here and hold for all systems, or for one, such as
--gaussian.initial_scale 45. The command's own options:

    --seeds N ...         seeds of each system (0)
    --systems NAME ...    systems to train (all of the table)
    --jobs N              trainings at once, each a process; they share the GPUs, or the cores (1)
    --cluster ADDRESS     make them on a Ray cluster: auto, HOST:PORT or ray://HOST:10001; as many
                          as it has room for, or --jobs. All machines have to see the workspace
    --gpus_per_worker F   of a training there: 0.5 lets two share a GPU (1, if there are GPUs)
    --label NAME          call runs <system>_NAME_<seed>, to keep several sets of settings
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Sequence

from ltr.commands.usage import parse_settings, usage_status, with_list
from ltr.common.command_line import CommandParser, non_negative_int
from ltr.common.errors import UserError, cli_main
from ltr.evaluation.trainings.reproduction import REPRODUCTIONS, plan, results
from ltr.evaluation.trainings.rounds import train_rounds
from ltr.evaluation.trainings.spread import add_jobs, ending, spread_trainings
from ltr.train_settings.registry import SYSTEMS, load_settings


@cli_main
def main(argv: list[str] | None = None) -> int:
    """Returns 0, 1 if a training failed, or 128 + signal (Ctrl-C: 130) if the trainings were stopped."""
    argv = sys.argv[1:] if argv is None else argv
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    tasks = {task: reproduction.what for task, reproduction in REPRODUCTIONS.items()}
    status = usage_status(argv, 1, with_list(__doc__, "Tasks:", tasks))
    if status is not None:
        return status
    task = argv[0]
    if task not in REPRODUCTIONS:
        raise UserError(f"there is no table of {task!r}; there are: {', '.join(REPRODUCTIONS)}")
    reproduction = REPRODUCTIONS[task]
    parser = CommandParser(prog=f"ebm-reproduce {task}", add_help=False)
    parser.add_argument("--seeds", nargs="+", type=non_negative_int, default=[0])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS[task], metavar="NAME")
    add_jobs(parser)
    parser.add_argument("--label", default="")
    own, rest = parser.parse_known_args(argv[1:])
    if "/" in own.label:
        raise UserError(f"--label is {own.label!r}; it is a part of the name of a folder")
    shared, special = split_by_system(rest, SYSTEMS[task])
    program = f"ebm-reproduce {task} [--seeds N ...] [--systems NAME ...] [--jobs N] [--cluster ADDRESS] [--label NAME]"

    def settings_of(system: str) -> object:
        return parse_settings(load_settings(task, system), program, [*shared, *special.get(system, [])])

    rounds = plan(reproduction, own.systems, own.seeds, own.label, settings_of)
    unused = special.keys() - {training.system for trainings in rounds for training in trainings}
    if unused:
        raise UserError(f"--{min(unused)}.* is of a system that --systems leaves out")
    trainings = [training for each in rounds for training in each]
    with spread_trainings(own, trainings) as (jobs, how):
        outcome = train_rounds(rounds, jobs, **how)
    stopped = ending(outcome, len(trainings))
    if stopped is not None:
        return stopped
    results(reproduction, [training for training in trainings if training in outcome.trained])
    for name, failure in outcome.failures.items():
        print(f"{name} failed: {failure}", file=sys.stderr)
    return int(bool(outcome.failures))


def split_by_system(argv: Sequence[str], systems: Collection[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Settings of all systems, and those of one by its name: `--ebm.epochs 3` is `--epochs 3` of ebm."""
    shared: list[str] = []
    special: dict[str, list[str]] = {}
    into = shared
    for word in argv:
        if word.startswith("--"):
            system, dot, setting = word[2:].partition(".")
            system = system.replace("-", "_")
            into = special.setdefault(system, []) if dot and system in systems else shared
            word = f"--{setting}" if into is not shared else word
        into.append(word)
    return shared, special


if __name__ == "__main__":
    sys.exit(main())
