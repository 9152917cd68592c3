"""The grid of a search, what was measured on it, and the choice."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ltr.common.errors import UserError


@dataclass(frozen=True)
class StepGrid:
    """All combinations of the values of some axes.

    Attributes:
        axes: values of each axis, from small to large: 'step', or 'position' and 'size'; then 'decay', if the
            refinement has one.
    """

    axes: Mapping[str, tuple[float, ...]]

    @classmethod
    def of(cls, **axes: Sequence[float]) -> StepGrid:
        """The grid of values in any order, as a user gives them.

        Raises:
            UserError: if an axis is empty, or a value out of range.
        """
        for name, values in axes.items():
            most = 1 if name == "decay" else math.inf
            wrong = [value for value in values if not 0 < value <= most or value == math.inf]
            if wrong or not values:
                allowed = "in (0, 1]" if name == "decay" else "positive and finite"
                raise UserError(f"--{name} {' '.join(f'{v:g}' for v in wrong)}: give values that are {allowed}")
        return cls({name: tuple(sorted(set(values))) for name, values in axes.items()})

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each axis."""
        return tuple(map(len, self.axes.values()))

    def points(self) -> list[tuple[float, ...]]:
        """All combinations, the last axis fastest."""
        return list(itertools.product(*self.axes.values()))


@dataclass(frozen=True)
class StepSearch:
    """A measure on all points of a grid.

    Attributes:
        grid: of the search.
        parts: by name, the measure in one part of the data, or for one network: arrays of the grid's shape. Their mean
            decides.
        before: the measure without refinement, by the same names.
        measure: its name.
        higher_is_better: whether the highest value is the best, or the lowest.
    """

    grid: StepGrid
    parts: Mapping[str, np.ndarray]
    before: Mapping[str, float]
    measure: str
    higher_is_better: bool

    @property
    def values(self) -> np.ndarray:
        """The mean of all parts, of the grid's shape."""
        return np.mean(list(self.parts.values()), axis=0)

    @property
    def best_index(self) -> tuple[int, ...]:
        """Where the best value is; of equal ones, the first: with the shortest steps."""
        return best_index(self.values, self.higher_is_better)

    @property
    def best(self) -> dict[str, float]:
        """The chosen value of each axis."""
        return self.at(self.best_index)

    def at(self, index: Sequence[int]) -> dict[str, float]:
        """The point of an index: the value of each axis."""
        return {name: values[i] for (name, values), i in zip(self.grid.axes.items(), index, strict=True)}

    def edges(self) -> list[str]:
        """The axes of several values at whose end the best lies, beyond which a better one may be."""
        found = []
        for (name, values), i in zip(self.grid.axes.items(), self.best_index, strict=True):
            last = i == len(values) - 1 and not (name == "decay" and values[i] == 1)
            if len(values) > 1 and (i == 0 or last):
                found.append(name)
        return found


def best_index(values: np.ndarray, higher_is_better: bool) -> tuple[int, ...]:
    """The first index of the highest or lowest value; NaN is never the best."""
    ranked = np.nan_to_num(values if higher_is_better else -values, nan=-math.inf)
    return tuple(int(i) for i in np.unravel_index(ranked.argmax(), ranked.shape))
