"""The end of a search: its table on the terminal and in files, and what to do with the choice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ltr.common.provenance import provenance
from ltr.evaluation.steps.grid import StepSearch
from ltr.evaluation.tables import Table, write_table


def write_search(
    search: StepSearch, table: Table, out: Path, stem: str, kept: Sequence[Path], settings: Any, used_by: str
) -> None:
    """Prints the table, and writes it as text, JSON and LaTeX.

    Args:
        out: folder of the table.
        stem: of its files.
        kept: files of the choice.
        settings: of the search, for the record.
        used_by: what uses the choice, such as a command.

    Raises:
        UserError: if the folder cannot be written.
    """
    print(table.text())
    about = provenance(
        settings,
        axes=search.grid.axes,
        measure=search.measure,
        values=search.values,
        parts=search.parts,
        before=search.before,
        best=search.best,
        at_the_edge=search.edges(),
        notes=table.notes,
    )
    for path in [*write_table(table, out, stem, about), *dict.fromkeys(kept)]:
        print(f"written: {path}")
    print(f"used by: {used_by}")
