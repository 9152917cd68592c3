"""Options of ebm-video that choose frames and give boxes in them."""

from __future__ import annotations

import argparse
from typing import Any

from ltr.common.errors import UserError
from pytracking.evaluation.video_plan import BoxAt
from pytracking.utils.frame_selection import Place, Selection


def add_frames(parser: argparse.ArgumentParser) -> None:
    """The options, for :func:`chosen_frames`."""
    group = parser.add_argument_group("part of a video")
    group.add_argument(
        "--start", type=_place, metavar="FRAME", help="first frame, of --box: an index from 0 (120) or a time (1:02.5)"
    )
    group.add_argument("--end", type=_place, metavar="FRAME", help="last frame")
    group.add_argument("--stride", type=_stride, default=1, metavar="N", help="take every Nth frame")
    group.add_argument(
        "--box_at",
        nargs=5,
        action="append",
        default=[],
        metavar=("[N@]FRAME", "X", "Y", "W", "H"),
        help="box of object N, from 1, in this frame: it begins there or is put right",
    )
    direction = group.add_mutually_exclusive_group()
    direction.add_argument("--backward", action="store_true", help="from the last frame, or --start, to an earlier one")
    direction.add_argument("--both_ways", action="store_true", help="from --box_at to the end, and to the beginning")


def chosen_frames(options: argparse.Namespace) -> dict[str, Any]:
    """What the options say, by the names of `VideoRunOptions`; nothing for a command without them.

    Raises:
        UserError: if a box is given in a form that means nothing.
    """
    if not hasattr(options, "box_at"):
        return {}
    selection = Selection(options.start, options.end, options.stride, options.backward)
    boxes_at = [BoxAt.parse(words) for words in options.box_at]
    return {"selection": selection, "boxes_at": boxes_at, "both_ways": options.both_ways}


def _place(text: str) -> Place:
    try:
        return Place.parse(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _stride(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} selects no frame; 1 takes every frame, 2 every other one, ...")
    return int(text)
