"""Options by the names that they have in PyTracking. They work, and no help lists them."""

from __future__ import annotations

import argparse
from typing import Any


class _UseVisdom(argparse.Action):
    """--use_visdom, or --use_visdom True, is --visdom; --use_visdom False is --no_visdom."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, value: Any, option: str | None = None) -> None:
        namespace.visdom, namespace.no_visdom = value, not value


def add_use_visdom(group: argparse._ActionsContainer) -> None:
    """PyTracking's switch of the live view."""
    group.add_argument("--use_visdom", nargs="?", const=True, type=truth, action=_UseVisdom, help=argparse.SUPPRESS)


def add_video_names(group: argparse._ActionsContainer, **box: Any) -> None:
    """The options of PyTracking's run_video.py; `box` are the arguments of --box.

    --save_results asks for what is always done: the results are written.
    """
    group.add_argument("--optional_box", dest="box", **{**box, "help": argparse.SUPPRESS})
    group.add_argument("--save_results", action="store_true", help=argparse.SUPPRESS)


def truth(text: str) -> bool:
    """True, 1, yes or False, 0, no in any case, as the type of an option."""
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return known[text.lower()]
