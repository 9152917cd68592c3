"""The report: each table is printed and kept when it is ready, whatever becomes of the others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.timing import Table, budget, unfinished
from ltr.common.files import write_json

Maker = Callable[[], Table]
"""Makes a table. What a part yields may be one of these, or a table that is made."""


class Report:
    """Tables of the parts.

    Args:
        machine: what is written beside them.
        json: the file to write after each table; None for none.
    """

    def __init__(self, machine: Mapping[str, Any], json: Path | None) -> None:
        self.content: dict[str, Any] = {"machine": machine, "parts": {}}
        self.json = json
        self.errors: list[str] = []

    def run(self, parts: Mapping[str, Callable[[], Iterable[Table | Maker]]]) -> None:
        """Make all tables, each part in its share of the time. An error in one is told, and the next is made."""
        for name in budget.share(list(parts)):
            unfinished.clear()
            self.content["parts"][name] = []
            try:
                self._run_part(name, iter(parts[name]()))
            except Exception as error:
                self._failed(name, error)
            except KeyboardInterrupt:
                self._keep_unfinished(name, "interrupted")
                raise
        for name in [name for name in parts if name not in self.content["parts"]]:
            _left_out(name)

    def _run_part(self, name: str, items: Iterable[Table | Maker]) -> None:
        for number, item in enumerate(items):
            if isinstance(item, Table):
                self._print(name, item)
                continue
            if number and budget.up():
                _left_out(f"{name}, from table {number + 1} on")
                break
            try:
                # of the time of the part, half of what is left: how many tables follow is not known
                with budget.within(budget.left() / 2):
                    table = item()
                self._print(name, table)
            except Exception as error:
                self._failed(name, error)

    def _print(self, name: str, table: Table) -> None:
        unfinished[:] = [other for other in unfinished if other is not table]
        print(f"\n{table.text()}", flush=True)
        entry = {"title": table.title, "rows": table.records, "notes": table.notes}
        self.content["parts"][name].append(entry)
        if self.json:
            write_json(self.json, self.content)

    def _failed(self, name: str, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        self._keep_unfinished(name, text)
        self.errors.append(f"{name}: {text}")
        print(f"error in {name}: {text}", file=sys.stderr, flush=True)

    def _keep_unfinished(self, name: str, reason: str) -> None:
        for table in list(unfinished):
            if table.rows:
                table.notes.append(f"not finished: {reason}")
                self._print(name, table)
        unfinished.clear()


def _left_out(what: str) -> None:
    print(f"{what}: left out, since the time was up (--seconds)", file=sys.stderr, flush=True)
