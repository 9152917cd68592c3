"""The table of a search: position against size with the best marked, and the decay beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ltr.evaluation.steps.grid import StepSearch, best_index
from ltr.evaluation.tables import Mean, Table


class _Best(Mean):
    """The value of the choice."""

    def text(self) -> str:
        return super().text() + "*"

    def latex(self) -> str:
        return rf"$\mathbf{{{super().text()}}}$"


def make_table(search: StepSearch, title: str) -> Table:
    """The measure over the grid, and notes: the choice, and whether it lies at an edge."""
    axes, values, best = search.grid.axes, search.values, search.best_index
    rows, *others = axes
    table = Table(f"{title}: {search.measure}", [])
    if not others:
        parts = dict(search.parts) if len(search.parts) == 1 else {**search.parts, "mean": values}
        columns = [v[:, None] for v in parts.values()]
        blocks = [_marked(column, best_index(column, search.higher_is_better)) for column in columns]
        table.columns = list(parts)
    else:
        plane = values if len(others) == 1 else values[:, :, best[2]]
        blocks = [_marked(plane, best[:2])]
        table.columns = _numbers(axes[others[0]])
        table.groups = [(others[0], len(table.columns))]
    if len(others) == 2 and len(axes["decay"]) > 1:
        beside = values.max(axis=1) if search.higher_is_better else values.min(axis=1)
        blocks.append(_marked(beside, (best[0], best[2])))
        table.columns = [*table.columns, *_numbers(axes["decay"])]
        table.groups = [*table.groups, ("decay", len(axes["decay"]))]
    table.rows = [
        (f"{rows} {value:g}", [cell for block in blocks for cell in block[k]]) for k, value in enumerate(axes[rows])
    ]
    table.notes = _notes(search)
    if len(table.groups) == 2:
        table.notes.insert(0, f"Sizes at decay {axes['decay'][best[2]]:g}; each decay at its best size.")
    return table


def _numbers(values: Sequence[float]) -> list[str]:
    return [f"{value:g}" for value in values]


def _marked(values: np.ndarray, best: Sequence[int]) -> list[list[Mean | str | None]]:
    return [
        [_Best(float(v)) if (i, j) == tuple(best) else Mean(float(v)) for j, v in enumerate(row)]
        for i, row in enumerate(values)
    ]


def _notes(search: StepSearch) -> list[str]:
    """The choice; each part's own, where it differs; and the edges of the grid at which the choice lies."""
    before = float(np.mean(list(search.before.values())))
    best = search.values[search.best_index]
    lines = [f"Chosen (*): {said(search.best)}: {best:.2f}; before refinement {before:.2f}."]
    for name, values in search.parts.items():
        own = best_index(values, search.higher_is_better)
        if len(search.parts) > 1 and len(own) > 1 and own != search.best_index:  # one axis has a column for each
            at = f"{said(search.at(own))} ({values[own]:.2f}, the choice {values[search.best_index]:.2f})"
            lines.append(f"By itself, {name} prefers {at}.")
    for name in search.edges():
        lines.append(
            f"The best {name} is at the edge of the grid, and a better one may lie beyond: give --{name} more values."
        )
    if (best <= before) if search.higher_is_better else (best >= before):
        lines.append("No step of the grid helps: refinement makes these predictions worse.")
    return lines


def said(point: dict[str, float]) -> str:
    """A point in words: 'position 0.0001, size 0.0004, decay 0.5'."""
    return ", ".join(f"{name} {value:g}" for name, value in point.items())
