"""Errors that a user can cause and mend, and how a command line reports them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["DatasetError", "UserError", "cli_main"]

P = ParamSpec("P")
R = TypeVar("R")


class UserError(Exception):
    """Something the user can put right. The message is one sentence: which thing, where, and the way out."""


class DatasetError(UserError):
    """A data set on disk is absent, incomplete or damaged. The message names the file, and the line if there is one."""


def cli_main(main: Callable[P, R]) -> Callable[P, R]:
    """Decorator for the main function of a command.

    A `UserError` becomes the line ``error: <message>`` on stderr and exit code 2, without a traceback; Ctrl-C becomes
    ``interrupted`` and exit code 130, as a shell expects. `SystemExit` and every other exception pass: those others
    are bugs, and their traceback is wanted.
    """

    @functools.wraps(main)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return main(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise SystemExit(130) from None

    return wrapper
