"""Help and settings of the commands whose options depend on their first words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tyro

from ltr.train_settings.recipe import Recipe


def usage_status(argv: Sequence[str], num_words: int, text: str) -> int | None:
    """Prints the help `text` of a command that lacks the words that it needs before options.

    Returns:
        The exit status of the command that has printed it: 0 if the user asks for help, and 2 if fewer than `num_words`
        words come first. None if the words are there.
    """
    words = argv[:num_words]
    if len(words) == num_words and not any(word.startswith("-") for word in words):
        return None
    print(text)
    return 0 if {"-h", "--help"} & set(argv) else 2


def with_list(text: str | None, title: str, entries: Mapping[str, str]) -> str:
    """A help text with a list of names, and what each is, below it."""
    return "\n".join([text or "", title, *(f"    {name}: {what}" for name, what in entries.items())])


def parse_settings(recipe: Recipe, program: str, argv: Sequence[str]) -> Any:
    """The settings of a system, changed by a command line.

    Args:
        program: the command and its words before the settings, for its help.
    """
    default = recipe.settings()
    return tyro.cli(
        type(default), default=default, args=argv, prog=program, description=recipe.summary, use_underscores=True
    )
