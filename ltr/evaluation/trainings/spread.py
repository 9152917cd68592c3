"""Where the trainings of a command are made: some at once on this machine (`--jobs`), or on a cluster (`--cluster`)."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ltr.cluster.connection import Cluster
from ltr.cluster.options import add_cluster, cluster_of
from ltr.cluster.trainings import training_executors
from ltr.common.command_line import positive_int
from ltr.evaluation.trainings.rounds import Outcome
from ltr.evaluation.trainings.training import Training


def add_jobs(parser: Any, ship_data: bool = False) -> None:
    """Adds --jobs, --cluster and --gpus_per_worker; and --ship_data for a command that sends other data."""
    parser.add_argument("--jobs", type=positive_int, metavar="N", help="trainings at once, each a process (1)")
    add_cluster(parser, ship_data)


@contextlib.contextmanager
def spread(
    options: argparse.Namespace, folder: Path, device: str, count: int, cluster: Cluster | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """A block with how many trainings run at once, and further arguments of
    :func:`ltr.evaluation.trainings.rounds.train_rounds` or :func:`ltr.evaluation.trainings.calls.do_calls`.

    Args:
        options: with those of :func:`add_jobs`.
        folder: that holds the folders of the trainings.
        device: of their settings.
        count: of trainings.
        cluster: if this process is connected to that of the options already.

    Raises:
        UserError: as :func:`ltr.cluster.options.cluster_of` and :func:`training_executors`.
    """
    with cluster_of(options) if cluster is None else contextlib.nullcontext(cluster) as connected:
        if connected is None:
            yield options.jobs or 1, {}
            return
        with training_executors(connected, folder, device, count, options.jobs) as (jobs, make_executor):
            yield jobs, {"make_executor": make_executor}


def spread_trainings(
    options: argparse.Namespace, trainings: Sequence[Training], cluster: Cluster | None = None
) -> AbstractContextManager[tuple[int, dict[str, Any]]]:
    """The block of :func:`spread` for these trainings, of which there is at least one."""
    first = trainings[0]
    return spread(options, first.folder.parent, first.settings.device, len(trainings), cluster)


def ending(outcome: Outcome, total: int) -> int | None:
    """The exit code of a command whose trainings were stopped, which is said; None if they were not."""
    if outcome.stop_signal is None:
        return None
    print(f"stopped; {len(outcome.trained)} of {total} trainings are done, and the same command continues")
    return 128 + outcome.stop_signal
