"""Run a tracker over a benchmark:

    python pytracking/run_tracker.py atom ebm --dataset_name otb --threads 4
    python pytracking/run_tracker.py atom ebm --dataset_name /path/to/my/videos --sequence David --debug 1
    python pytracking/run_tracker.py atom ebm --dataset_name data/otb data/otb_more --seed 3 --runid 3
    python pytracking/run_tracker.py atom ebm --classifier.update_every 2 --save_as every2

--debug 1 shows the run live in visdom's page; start its server first, by `python -m pytracking.view.server`.

Boxes go to {results}/{tracker}/{param}[_{run:03d}]/{sequence}.txt; a second call skips what is finished. Any further
'--name value' sets that setting of the tracker; --save_as gives such a variation a name of its own in place of {param},
so that it stands beside the others in the tables of `python -m pytracking.analysis`. The exit code is 0 when all is
well, 1 when sequences failed, 2 when nothing could be run, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ltr.common.environment import get_path
from ltr.common.errors import cli_main
from pytracking.evaluation.datasets import SequenceList, get_datasets
from pytracking.evaluation.running import TrackerSpec, run_dataset
from pytracking.utils.arguments import natural
from pytracking.view.live.visdom_view import VisdomView
from pytracking.view.server import DEFAULT_PORT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_tracker.py",
        usage="run_tracker.py tracker_name tracker_param [options] [--<setting> value ...]",
        description="Run a tracker over a benchmark and write its boxes.",
        epilog="Any other '--name value' changes that setting of the tracker.",
        allow_abbrev=False,
    )
    parser.add_argument("tracker_name", help="atom or opencv")
    parser.add_argument("tracker_param", help="parameter file: default, atom_star, ebm, ...; csrt or kcf for opencv")
    parser.add_argument("--runid", type=natural, help="number of this run: its results get a folder of their own")
    parser.add_argument("--save_as", metavar="NAME", help="name of the results folder, in place of the parameter's")
    parser.add_argument(
        "--dataset_name",
        nargs="+",
        default=["otb"],
        metavar="NAME",
        help="otb (the default), nfs, generated, or a folder in OTB's layout; several are run as one",
    )
    parser.add_argument(
        "--dataset_root", type=Path, help="where that one benchmark lies, if the settings do not say so"
    )
    parser.add_argument("--sequence", nargs="+", metavar="NAME", help="only these, each by name or index from 0")
    parser.add_argument("--results", type=Path, help="where results are written (./tracking_results)")
    parser.add_argument("--threads", type=natural, default=0, help="number of worker processes (0: run in this one)")
    parser.add_argument("--device", help="cpu, cuda or cuda:N")
    parser.add_argument("--seed", type=natural, default=0, help="seed of all that is random (0)")
    parser.add_argument("--overwrite", action="store_true", help="run finished sequences again")
    parser.add_argument(
        "--density", action="store_true", help="also write p(y|x) of each frame to {sequence}_density.jsonl"
    )
    parser.add_argument("--integer", action="store_true", help="write truncated integers, as PyTracking does")
    parser.add_argument(
        "--debug",
        type=natural,
        default=0,
        metavar="LEVEL",
        help="1: show the run in visdom and write a video of each sequence; stop at the first failure, with traceback",
    )
    parser.add_argument("--visdom_server", default="localhost", metavar="HOST", help="where visdom runs (localhost)")
    parser.add_argument(
        "--visdom_port", type=natural, default=DEFAULT_PORT, metavar="PORT", help=f"its port ({DEFAULT_PORT})"
    )
    parser.add_argument("--no_visdom", action="store_true", help="with --debug: the video alone")
    return parser


def parse_arguments(arguments: Sequence[str] | None = None) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """The known options, and all others as overrides of the tracker's settings."""
    parser = _parser()
    known, others = parser.parse_known_args(arguments)
    if others and not others[0].startswith("--"):
        parser.error(f"unexpected argument {others[0]!r}")
    return known, tuple(others)


@cli_main
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for and returns the exit code."""
    options, overrides = parse_arguments(arguments)
    spec = TrackerSpec(
        options.tracker_name,
        options.tracker_param,
        options.device,
        options.seed,
        overrides,
        options.runid,
        options.save_as,
    )
    spec.settings()  # a misspelt tracker or setting is said before any data is looked at
    dataset = get_datasets(options.dataset_name, options.dataset_root)
    sequences = _selected(dataset, options.sequence)
    print(dataset.summary())
    with _live_view(options) as view:
        report = run_dataset(
            sequences,
            spec,
            get_path("results", options.results),
            problems={} if options.sequence else dataset.problems,
            threads=options.threads,
            debug=options.debug,
            integer=options.integer,
            overwrite=options.overwrite,
            density=options.density,
            view=view,
        )
    print(report.summary())
    return 1 if report.failed else 0


@contextmanager
def _live_view(options: argparse.Namespace) -> Iterator[VisdomView | None]:
    if not options.debug or options.no_visdom:
        yield None
        return
    view = VisdomView(options.visdom_server, options.visdom_port)
    complete = False
    try:
        yield view
        complete = True
    finally:
        view.close(complete)


def _selected(dataset: SequenceList, names: list[str] | None) -> list:
    if not names:
        return list(dataset)
    chosen = [dataset[name] for name in names]
    return list({sequence.name: sequence for sequence in chosen}.values())


if __name__ == "__main__":
    sys.exit(main())
