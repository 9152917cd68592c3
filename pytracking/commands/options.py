"""Options that several commands share."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ltr.common.command_line import CommandParser, non_negative_int
from ltr.common.errors import UserError
from pytracking.commands.frame_options import chosen_frames
from pytracking.commands.pytracking_options import add_use_visdom, add_video_names
from pytracking.evaluation.datasets import BENCHMARKS
from pytracking.evaluation.running import TrackerSpec
from pytracking.evaluation.video_run import VideoRunOptions
from pytracking.factory import current_param
from pytracking.view.live.client import DEFAULT_PORT, split_address

SETTINGS_HELP = """\
Any other '--name value' changes a setting of the tracker, such as --refinement.iterations 5;
pytracking/tracker/atom/settings.py has them all."""


def add_tracker(parser: argparse.ArgumentParser) -> None:
    """The tracker and its parameter file, as positional arguments."""
    parser.add_argument("tracker_name", help="atom or opencv")
    parser.add_argument("tracker_param", help="parameter file: ebm, atom_star, default, ...; csrt or kcf for opencv")


def add_computing(parser: argparse.ArgumentParser) -> None:
    """Device and seed."""
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    parser.add_argument("--seed", type=non_negative_int, default=0, metavar="N", help="seed of all that is random (0)")


def add_data(group: argparse._ActionsContainer) -> None:
    """The data set, and how its annotation is read."""
    group.add_argument(
        "--dataset_name",
        nargs="+",
        default=["otb"],
        metavar="NAME",
        help=f"{', '.join(BENCHMARKS)}, or a folder of sequences, or several (otb)",
    )
    group.add_argument(
        "--dataset_root", type=Path, metavar="FOLDER", help="folder of that one benchmark (default: EBM_<NAME>)"
    )
    group.add_argument(
        "--origin", type=int, choices=(0, 1), help="where the pixels of a folder's annotation count from (its layout's)"
    )


def add_visdom(group: argparse._ActionsContainer) -> None:
    """The live view."""
    group.add_argument("--visdom", action="store_true", help="show the run live; first start ebm-view")
    group.add_argument(
        "--visdom_server",
        default="localhost",
        metavar="HOST",
        help="where ebm-view runs, or its address: http://host:8097/path (localhost)",
    )
    group.add_argument("--visdom_port", type=non_negative_int, metavar="PORT", help=f"its port ({DEFAULT_PORT})")
    add_use_visdom(group)


def visdom_address(options: argparse.Namespace) -> tuple[str, int]:
    """Host, or address, and port of the live view's server.

    Raises:
        UserError: if there can be no such address, or it has another port than --visdom_port.
    """
    port = split_address(options.visdom_server).port
    given = options.visdom_port
    if given is not None and not 0 < given < 65536:
        raise UserError(f"--visdom_port {given} is no port: give a number from 1 to 65535")
    if port is not None and given is not None and port != given:
        raise UserError(
            f"--visdom_server {options.visdom_server} has another port than --visdom_port {given}: give one"
        )
    return options.visdom_server, port or given or DEFAULT_PORT


def parse(parser: CommandParser, argv: Sequence[str] | None) -> tuple[argparse.Namespace, TrackerSpec]:
    """The known options, and the tracker, whose settings all other options are.

    Raises:
        UserError: if there is no such tracker or setting. This is checked before any data is opened.
    """
    known, others = parser.parse_known_args(argv)
    if others and not others[0].startswith("--"):
        parser.error(f"unexpected argument {others[0]!r}")
    meant = current_param(known.tracker_name, known.tracker_param)
    if meant != known.tracker_param:
        print(f"{known.tracker_param} is PyTracking's name of {meant}, which runs", file=sys.stderr)
        known.tracker_param = meant
    spec = TrackerSpec(
        known.tracker_name,
        known.tracker_param,
        known.device,
        known.seed,
        tuple(others),
        getattr(known, "runid", None),
        getattr(known, "save_as", None),
    )
    spec.settings()
    return known, spec


def add_video(parser: argparse.ArgumentParser) -> None:
    """The options of a run on a video or camera, for :func:`video_run_options`."""
    parser.add_argument(
        "--box",
        nargs=4,
        type=_number,
        action="append",
        metavar=("X", "Y", "W", "H"),
        help="target in the first frame, in pixels; repeat for more objects",
    )
    add_computing(parser)
    parser.add_argument(
        "--debug", type=non_negative_int, default=0, metavar="LEVEL", help="1: show the traceback of every failure"
    )
    results = parser.add_argument_group("results")
    results.add_argument("--out", type=Path, metavar="FOLDER", help="default: {results}/{tracker}/{param}/videos")
    results.add_argument("--save_video", type=Path, metavar="FILE", help="write a video (.mp4) with the boxes drawn")
    add_video_names(results, nargs=4, type=_number, action="append")
    results.add_argument("--save_images", type=Path, metavar="FOLDER", help="write each frame with the boxes drawn")
    results.add_argument("--density", action="store_true", help="write p(y|x) of each frame, and draw it")
    view = parser.add_argument_group("view")
    view.add_argument("--no_display", action="store_true", help="open no window")
    add_visdom(view)


def video_run_options(
    options: argparse.Namespace, seconds: float | None = None, frames: int | None = None
) -> VideoRunOptions:
    """What the command line asks of a run."""
    return VideoRunOptions(
        boxes=options.box,
        seconds=seconds,
        frames=frames,
        out=options.out,
        density=options.density,
        save_video=options.save_video,
        save_images=options.save_images,
        window=not options.no_display,
        visdom=visdom_address(options) if options.visdom else None,
        labels=getattr(options, "label", ()),
        export=getattr(options, "export", ()),
        **chosen_frames(options),
    )


@contextmanager
def tracebacks(shown: int) -> Iterator[None]:
    """Within it, an error of the user has its traceback printed too, if it is to be `shown` (--debug 1)."""
    try:
        yield
    except UserError:
        if shown:
            traceback.print_exc()
        raise


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a box is four numbers x y w h, and {text!r} is not a number") from None
