"""Help and settings of the commands whose options depend on their first words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tyro

from ltr.train_settings.recipe import Recipe


def usage_status(argv: Sequence[str], num_words: int) -> int | None:
    """The exit status of a command that only prints its help; None if it has the words that it needs before options.

    The status is 0 if the user asks for help, and 2 if fewer than `num_words` words come first.
    """
    words = argv[:num_words]
    if len(words) == num_words and not any(word.startswith("-") for word in words):
        return None
    return 0 if {"-h", "--help"} & set(argv) else 2


def parse_settings(recipe: Recipe, program: str, argv: Sequence[str]) -> Any:
    """The settings of a system, changed by a command line.

    Args:
        program: the command and its words before the settings, for its help.
    """
    default = recipe.settings()
    return tyro.cli(
        type(default), default=default, args=argv, prog=program, description=recipe.summary, use_underscores=True
    )
