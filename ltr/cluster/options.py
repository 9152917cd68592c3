"""The options of commands that can run on a cluster."""

from __future__ import annotations

import argparse
import contextlib
from contextlib import AbstractContextManager
from typing import Any

from ltr.cluster.connection import Cluster, connected
from ltr.common.errors import UserError

CLUSTER_HELP = "run on a Ray cluster: auto (this machine's), HOST:PORT, or ray://HOST:10001 from outside"


def add_cluster(parser: Any, ship_data: bool = False) -> None:
    """Adds --cluster and what belongs to it.

    Args:
        ship_data: whether the command can send its data.
    """
    parser.add_argument("--cluster", metavar="ADDRESS", help=CLUSTER_HELP)
    parser.add_argument(
        "--gpus_per_worker",
        type=_share,
        metavar="F",
        help="of a GPU, where the cluster has any: 0.25 lets four share one",
    )
    if ship_data:
        parser.add_argument(
            "--ship_data", action="store_true", help="send the frames to workers that do not see this machine's folders"
        )


def cluster_of(options: argparse.Namespace) -> AbstractContextManager[Cluster | None]:
    """A block in which this process is connected to the cluster of these options; of None without --cluster.

    Raises:
        UserError: as :func:`connected`, or if options for a cluster are given without one.
    """
    ship_data = getattr(options, "ship_data", False)
    if options.cluster is None:
        for name, given in (("--gpus_per_worker", options.gpus_per_worker is not None), ("--ship_data", ship_data)):
            if given:
                raise UserError(f"{name} is for workers of a cluster: give --cluster, too")
        return contextlib.nullcontext()
    return connected(Cluster(options.cluster, options.gpus_per_worker, ship_data))


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1024 or (value > 1 and value != int(value)):
        raise argparse.ArgumentTypeError(f"{text} is no share of a GPU: give a number from 0 to 1, or of whole GPUs")
    return value
