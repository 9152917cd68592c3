"""ebm-experiment: run an experiment, which is trackers x runs x data sets.

A second call takes over what the first finished. The exit code is 0 if all sequences are tracked, 1 if some failed, 2
if nothing could be run, 130 after Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ltr.cluster.options import add_cluster, cluster_of
from ltr.common.command_line import CommandParser, non_negative_int
from ltr.common.environment import get_path
from ltr.common.errors import UserError, cli_main
from pytracking.evaluation.experiment import load_experiment, run_experiment


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="ebm-experiment",
        usage="ebm-experiment module name [options]",
        description="Run an experiment: trackers, each once or several times, on data sets.",
        examples="""\
examples:
  ebm-experiment paper generated
  ebm-experiment paper otb_nfs --threads 4
  ebm-experiment my_experiments.py ablation
      a function of your own file: it returns pytracking.evaluation.Experiment(trackers, datasets)""",
    )
    parser.add_argument("module", help="module of pytracking/experiments, or a Python file")
    parser.add_argument("name", help="function in it that returns the experiment")
    parser.add_argument("--threads", type=non_negative_int, default=0, metavar="N", help="worker processes (0)")
    add_cluster(parser, ship_data=True)
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="default: ./tracking_results")
    parser.add_argument("--overwrite", action="store_true", help="run finished sequences again")
    parser.add_argument(
        "--debug", type=non_negative_int, default=0, metavar="LEVEL", help="1: a video of each sequence, a traceback"
    )
    return parser


@cli_main
def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    options = _parser().parse_args(argv)
    experiment = load_experiment(options.module, options.name)
    with cluster_of(options) as cluster:
        done = run_experiment(
            experiment,
            get_path("results", options.results),
            threads=options.threads,
            cluster=cluster,
            debug=options.debug,
            overwrite=options.overwrite,
        )
    refused = [reason for _, reason in done if isinstance(reason, str)]
    if len(refused) == len(done):
        raise UserError("no tracker of the experiment could be run (see above)")
    return 1 if refused or any(report.failed for _, report in done if not isinstance(report, str)) else 0


if __name__ == "__main__":
    sys.exit(main())
