"""What a search has measured so far, on disk: a stopped search continues with the same command."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ltr.common.plain import to_plain
from ltr.evaluation.line_log import CODE, LineLog


@dataclass(frozen=True)
class Measured:
    """Sums over some boxes or images.

    Attributes:
        item: which, such as an image's id or the number of a batch.
        count: how many.
        before: sum of the measure before refinement.
        sums: of the measure after refinement, for each of the settings that the search tries.
    """

    item: str
    count: int
    before: float
    sums: list[float]


def measured_log(path: Path | None, tried: Sequence[Any], about: Mapping[str, Any]) -> LineLog[Measured]:
    """The log of a search; errors are those of :class:`LineLog`.

    Args:
        path: without its ending; None keeps all in memory only.
        tried: the settings that the search tries.
        about: all else that decides what is measured.
    """
    return LineLog(path, Measured, "item", {"tried": to_plain(list(tried)), "code": CODE, **to_plain(about)})


def mean_of(measured: Iterable[Measured]) -> tuple[float, np.ndarray]:
    """The measure over all boxes or images: before refinement, and for each of the settings.

    Raises:
        ValueError: if nothing was measured.
    """
    found = [m for m in measured if m.count]
    if not found:
        raise ValueError("nothing was measured")
    count = sum(m.count for m in found)
    return sum(m.before for m in found) / count, np.sum([m.sums for m in found], axis=0) / count


@contextmanager
def saying_how_to_continue() -> Iterator[None]:
    """A block in which Ctrl-C says that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        print("stopped; all that was measured is kept, and the same command continues", file=sys.stderr)
        raise
