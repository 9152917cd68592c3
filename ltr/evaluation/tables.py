"""Means over runs with their standard errors, and tables of them as text, JSON and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltr.common.files import write_json, write_text, writing
from ltr.common.latex import tex_escape

REMEDY = "choose another folder by --workspace or, where the command has it, --out"
"""For files of results that cannot be written."""


@dataclass(frozen=True)
class Mean:
    """A mean and its standard error, which is None for a single value."""

    value: float
    error: float | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        """The mean of n values and s / sqrt(n), where s has n - 1 in its denominator.

        Raises:
            ValueError: if there are no values.
        """
        if not values:
            raise ValueError("no mean of no values")
        mean = sum(values) / len(values)
        if len(values) == 1:
            return cls(mean)
        variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
        return cls(mean, math.sqrt(variance / len(values)))

    def text(self) -> str:
        return f"{self.value:.2f}" + ("" if self.error is None else f" ± {self.error:.2f}")

    def latex(self) -> str:
        return "$" + self.text().replace("±", r"\pm") + "$"


@dataclass
class Table:
    """Rows of means.

    Attributes:
        title: one line.
        columns: names of the means.
        groups: (name, number of columns) of a second header above the first, or empty; they cover all columns.
        rows: (name, cells); a cell is a mean, text, or None if it is empty.
        notes: lines below the table.
    """

    title: str
    columns: Sequence[str]
    groups: Sequence[tuple[str, int]] = ()
    rows: list[tuple[str, list[Mean | str | None]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Aligned text, as wide as its cells need."""
        cells = [[name, *(_text(cell) for cell in row)] for name, row in self.rows]
        header = ["", *self.columns]
        widths = [max(len(row[i]) for row in [header, *cells]) for i in range(len(header))]
        above, start = " " * widths[0], 1
        for name, num_columns in self.groups:
            width = sum(widths[start : start + num_columns]) + 2 * num_columns
            above += name.rjust(width)
            start += num_columns
        lines = [_line(header, widths), "-" * (sum(widths) + 2 * len(widths) - 2), *(_line(c, widths) for c in cells)]
        return "\n".join([self.title, *([above.rstrip()] if self.groups else []), *lines, *self.notes])

    def latex(self) -> str:
        """A tabular in booktabs' style; the notes become comments."""
        lines = [f"% {note}" for note in [self.title, *self.notes]]
        lines += [rf"\begin{{tabular}}{{l{'c' * len(self.columns)}}}", r"\toprule"]
        if self.groups:
            groups = [rf"\multicolumn{{{n}}}{{c}}{{{tex_escape(name)}}}" for name, n in self.groups]
            lines.append(_latex_row(["", *groups]))
        lines.append(_latex_row(["Method", *map(tex_escape, self.columns)]))
        lines.append(r"\midrule")
        for name, row in self.rows:
            cells = ["--" if c is None else tex_escape(c) if isinstance(c, str) else c.latex() for c in row]
            lines.append(_latex_row([tex_escape(name), *cells]))
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def write_table(table: Table, folder: Path, stem: str, about: Mapping[str, Any]) -> list[Path]:
    """Writes {folder}/{stem}.txt and .tex with the table, and .json with `about`.

    Returns:
        The three files.

    Raises:
        UserError: if the folder cannot be written.
    """
    paths = [folder / f"{stem}.{ending}" for ending in ("txt", "json", "tex")]
    with writing_to(folder):
        write_text(paths[0], table.text() + "\n")
        write_json(paths[1], about)
        write_text(paths[2], table.latex())
    return paths


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Creates the folder, and turns an OSError into a UserError that names it."""
    with writing(folder, REMEDY):
        folder.mkdir(parents=True, exist_ok=True)
        yield


def _text(cell: Mean | str | None) -> str:
    return "-" if cell is None else cell if isinstance(cell, str) else cell.text()


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]).rstrip()


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
