"""One file that is fuzzed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutate import Mutation


@dataclass(frozen=True)
class Target:
    """One file that is fuzzed.

    Attributes:
        name: its path below the folder of inputs, where the files that belong to it lie undamaged.
        content: of the valid file.
        mutations: one of these damages it.
        read: reads the damaged file.
    """

    name: str
    content: bytes
    mutations: tuple[Mutation, ...]
    read: Callable[[Path], object]


Row = tuple[str, tuple[Mutation, ...], Callable[[Path], object]]
"""A target's name, its mutations besides damage to bytes, and its reader; its file is written already."""
