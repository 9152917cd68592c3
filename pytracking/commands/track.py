"""ebm-track: run a tracker over a benchmark.

The boxes are written to {results}/{tracker}/{param}[_{run:03d}]/{sequence}.txt; a second call skips what is finished.
Options that this command does not know change the tracker's settings. `--save_as` names the results of such a
variation, so that they stand beside the others in the tables of ebm-analyse.

The exit code is 0 if all sequences are tracked, 1 if some failed, 2 if nothing could be run, 130 after Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from ltr.cluster.options import add_cluster, cluster_of
from ltr.common.command_line import CommandParser, non_negative_int
from ltr.common.environment import get_path
from ltr.common.errors import cli_main
from pytracking.commands.options import (
    SETTINGS_HELP,
    add_computing,
    add_data,
    add_tracker,
    add_visdom,
    parse,
    visdom_address,
)
from pytracking.evaluation.datasets import get_dataset
from pytracking.evaluation.running import closing_view, run_dataset
from pytracking.view.live.visdom_view import VisdomView


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="ebm-track",
        usage="ebm-track tracker_name tracker_param [options] [--<setting> value ...]",
        description="Run a tracker over a benchmark and write its boxes.",
        examples=f"""{SETTINGS_HELP}

examples:
  ebm-track atom ebm --dataset_name otb --threads 4
  ebm-track atom ebm --dataset_name lasot --cluster auto
  ebm-track atom ebm --dataset_name /path/to/my/videos --sequence David --debug 1
  ebm-track atom ebm --classifier.update_every 2 --save_as every2""",
    )
    add_tracker(parser)
    add_computing(parser)
    parser.add_argument(
        "--threads", type=non_negative_int, default=0, metavar="N", help="worker processes (0: track in this process)"
    )
    add_cluster(parser, ship_data=True)
    data = parser.add_argument_group("data")
    add_data(data)
    data.add_argument("--sequence", nargs="+", metavar="NAME", help="only these sequences, by name or index from 0")
    results = parser.add_argument_group("results")
    results.add_argument("--results", type=Path, metavar="FOLDER", help="default: ./tracking_results")
    results.add_argument(
        "--runid", "--run_id", type=non_negative_int, metavar="N", help="number of this run: a folder of its own"
    )
    results.add_argument("--save_as", metavar="NAME", help="name of the results folder, in place of the parameter's")
    results.add_argument("--overwrite", action="store_true", help="run finished sequences again")
    results.add_argument("--density", action="store_true", help="write p(y|x) of each frame: {sequence}_density.jsonl")
    results.add_argument("--integer", action="store_true", help="write truncated integers, as PyTracking does")
    view = parser.add_argument_group("view")
    view.add_argument(
        "--debug",
        type=non_negative_int,
        default=0,
        metavar="LEVEL",
        help="1: --visdom, a video of each sequence, a traceback at the first failure",
    )
    add_visdom(view)
    view.add_argument("--no_visdom", action="store_true", help="with --debug: no live view")
    return parser


@cli_main
def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    options, spec = parse(_parser(), argv)
    dataset = get_dataset(*options.dataset_name, root=options.dataset_root, origin=options.origin)
    sequences = dataset.select(options.sequence) if options.sequence else list(dataset)
    print(dataset.summary())
    live = options.visdom or (options.debug and not options.no_visdom)
    view_of_all = closing_view(VisdomView(*visdom_address(options))) if live else nullcontext()
    with cluster_of(options) as cluster, view_of_all as view:
        report = run_dataset(
            sequences,
            spec,
            get_path("results", options.results),
            problems={} if options.sequence else dataset.problems,
            threads=options.threads,
            cluster=cluster,
            debug=options.debug,
            integer=options.integer,
            overwrite=options.overwrite,
            density=options.density,
            view=view,
        )
    print(report.summary())
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
