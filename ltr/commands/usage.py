"""Help of the commands whose options depend on their first words."""

from __future__ import annotations

from collections.abc import Sequence


def usage_status(argv: Sequence[str], num_words: int) -> int | None:
    """The exit status of a command that only prints its help; None if it has the words that it needs before options.

    The status is 0 if the user asks for help, and 2 if fewer than `num_words` words come first.
    """
    words = argv[:num_words]
    if len(words) == num_words and not any(word.startswith("-") for word in words):
        return None
    return 0 if {"-h", "--help"} & set(argv) else 2
