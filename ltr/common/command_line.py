"""What the parsers of the console commands share."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from typing import Any


class CommandParser(argparse.ArgumentParser):
    """A parser whose help ends with examples, and whose options may be written with dashes or underscores alike.

    Args:
        prog: the console command, such as 'ebm-track', whichever way it is started.
        description: what the command does, in one sentence.
        examples: command lines, one a line, and further notes.
    """

    def __init__(self, *, examples: str = "", **arguments: Any):
        arguments.setdefault("epilog", examples)
        arguments.setdefault("formatter_class", _HelpFormatter)
        super().__init__(allow_abbrev=False, **arguments)
        # argparse takes -1 and -1.5 for numbers, and -1e-1 for an option
        self._negative_number_matcher = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|-(inf|nan)$")

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        args = sys.argv[1:] if args is None else args
        return super().parse_known_args([self._underscored(argument) for argument in args], namespace)

    def _underscored(self, argument: str) -> str:
        """--save-video=x as --save_video=x if there is such an option; anything else as it is."""
        option, equals, value = argument.partition("=")
        spelled = "--" + option[2:].replace("-", "_")
        known = option.startswith("--") and spelled in self._option_string_actions
        return spelled + equals + value if known else argument


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Leaves the examples' lines as they are, and needs less room for options than argparse's own."""

    def __init__(self, prog: str, **sizes: Any):
        super().__init__(prog, **{"max_help_position": 26, **sizes})

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        if action.nargs == argparse.ONE_OR_MORE:
            return f"{action.metavar or default_metavar} ..."
        return super()._format_args(action, default_metavar)


def non_negative_int(text: str) -> int:
    """A whole number from 0 on, as the type of an option."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def positive_int(text: str) -> int:
    """A whole number from 1 on, as the type of an option."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def positive_float(text: str) -> float:
    """A positive finite number, as the type of an option."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value
