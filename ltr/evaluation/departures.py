"""Notes below a table: which settings of its runs are not the paper's."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from ltr.common.plain import to_plain
from ltr.common.settings import differences


def departures(pairs: Iterable[tuple[Any, Any]], ignored: Collection[str] = ()) -> dict[str, str]:
    """Settings that differ from the paper's, as name -> 'name here (paper)'; of several values of one, the first.

    Args:
        pairs: the settings of a run, a dataclass, and the paper's of the same type.
        ignored: names of settings of which the paper says nothing, such as 'seed'; 'a' includes 'a.b'.
    """
    found: dict[str, str] = {}
    for here, paper in pairs:
        for name, (papers, ours) in differences(here, to_plain(paper)).items():
            if not any(name == each or name.startswith(f"{each}.") for each in ignored):
                found.setdefault(name, f"{name} {_plain(ours)} ({_plain(papers)})")
    return found


def departures_note(found: dict[str, str], of: str = "") -> list[str]:
    """The note about what :func:`departures` found, such as 'of' a tracker; none if it found nothing."""
    start = f"{of}: not" if of else "Not"
    return [f"{start} the paper's setting, which is in brackets: {', '.join(found.values())}."] if found else []


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(_plain, value)) if value else "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
