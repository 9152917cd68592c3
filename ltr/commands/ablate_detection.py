"""Table S1 on a detector of one's own: ebm-ablate detection [options] [--setting value ...]

    ebm-ablate detection --jobs 2
    ebm-ablate detection --data.root /data/mine --base_weights direct_final.safetensors --rows .15 .0375,.15

Trains the EBM on one given Faster-RCNN with each of the paper's 18 proposal distributions, and
prints its AP on the validation images beside the paper's. The settings are those of `ebm-train
detection ebm`. Step-lengths are the paper's, or what `ebm-search-steps detection` has chosen for a
run. Runs are in {workspace}/checkpoints/ltr/detection_sigmas, the table is in
{workspace}/evaluation/detection_sigmas. Finished trainings are skipped and stopped ones continue.
The command's own options:

    --rows S ...    widths of the components: '.15 .0375,.15' are two rows (the paper's 18)
    --seeds N       seeds 0 .. N - 1 of each row (1)
    --jobs N        trainings at once, each a process (1)
    --cluster A     make them on a Ray cluster: auto, HOST:PORT or ray://HOST:10001
    --gpus_per_worker F   of a training there (1, if there are GPUs)
    --limit N       evaluate on the first N images only
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ltr.commands.usage import parse_settings
from ltr.common.command_line import CommandParser, positive_int
from ltr.common.errors import UserError
from ltr.evaluation.detection.table_s1 import TABLE_S1, sigmas_option
from ltr.evaluation.detection.width_ablation import DetectionWidthAblation
from ltr.evaluation.trainings.rounds import train_rounds
from ltr.evaluation.trainings.spread import add_jobs, ending, spread_trainings
from ltr.train_settings.registry import load_settings


def main(argv: Sequence[str]) -> int:
    """Returns 0, 1 if a training failed, or 128 + signal (Ctrl-C: 130) if the trainings were stopped."""
    if {"-h", "--help"} & set(argv):
        print(f"{__doc__}\n`ebm-train detection ebm --help` lists the settings.")
        return 0
    parser = CommandParser(prog="ebm-ablate detection", add_help=False)
    parser.add_argument("--rows", nargs="+", type=sigmas_option, default=list(TABLE_S1))
    parser.add_argument("--seeds", type=positive_int, default=1)
    add_jobs(parser)
    parser.add_argument("--limit", type=positive_int)
    own, rest = parser.parse_known_args(argv)
    for name, instead in (("--seed", "--seeds N"), ("--proposals.sigmas", "--rows")):
        if any(word.partition("=")[0] == name for word in rest):
            raise UserError(f"{name} is no choice here, where the trainings differ in it: use {instead}")
    settings = parse_settings(load_settings("detection", "ebm"), "ebm-ablate detection [options]", rest)
    if settings.detector.system != "ebm":
        raise UserError("--detector.system is no choice here: Table S1 is of the energy-based model")
    ablation = DetectionWidthAblation(settings, own.rows, own.seeds, own.limit)
    with spread_trainings(own, ablation.trainings) as (jobs, how):
        outcome = train_rounds([ablation.trainings], jobs, **how)
    stopped = ending(outcome, len(ablation.trainings))
    if stopped is not None:
        return stopped
    if outcome.trained:
        table, files = ablation.table(outcome.trained)
        print(table.text())
        for path in files:
            print(f"written: {path}")
    for name, failure in outcome.failures.items():
        print(f"{name} failed: {failure}", file=sys.stderr)
    return int(bool(outcome.failures))
