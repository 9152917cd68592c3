"""Errors that a user can put right, and how a command reports them."""

from __future__ import annotations

import errno
import functools
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import ParamSpec, TypeVar

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)

__all__ = ["DatasetError", "UserError", "cli_main"]

P = ParamSpec("P")
R = TypeVar("R")


class UserError(Exception):
    """Something that the user can put right. The message says in one sentence what is wrong, where, and what to do."""


class DatasetError(UserError):
    """A data set on disk is absent, incomplete or damaged. The message names the file, and the line if there is one."""


def cli_main(main: Callable[P, R]) -> Callable[P, R]:
    """Decorates the main function of a command.

    A `UserError` becomes the line ``error: <message>`` on stderr and exit code 2, without a traceback; so does a full
    disk. Ctrl-C becomes ``interrupted`` and exit code 130, as a shell expects. `SystemExit` passes through, and so do
    all other exceptions, which are bugs and need their traceback. Letters that the terminal's encoding lacks, such as
    those of a file name, are printed as escapes.
    """

    @functools.wraps(main)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
            sys.stdout.reconfigure(errors="backslashreplace")  # as standard error has it
        try:
            return main(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            what = f"{error.filename} cannot be written" if error.filename else "a file cannot be written"
            print(f"error: {what}: {error.strerror}; make room, or choose another folder", file=sys.stderr)
            raise SystemExit(2) from None
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise SystemExit(130) from None

    return wrapper
