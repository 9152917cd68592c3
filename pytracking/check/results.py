"""One line of the report, and the error that it tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

State = Literal["PASS", "FAIL", "SKIP", "info"]


@dataclass(frozen=True)
class Result:
    """What one check found.

    Attributes:
        what: was checked, such as 'prroi_pool, cuda, float32'.
        state: 'SKIP' where there was nothing to check, 'info' for figures that are neither right nor wrong.
        detail: figures and limits, or the reason.
        figures: the same as plain data, for the log.
    """

    what: str
    state: State
    detail: str
    figures: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        return f"{self.state:4}  {self.what}: {self.detail}"


def within(what: str, value: float, limit: float, detail: str = "", **figures: Any) -> Result:
    """Whether an error is at most `limit`; one that is not a number is not."""
    shown = f"{value:.1e}, at most {limit:.0e}" + (f"; {detail}" if detail else "")
    return Result(what, "PASS" if value <= limit else "FAIL", shown, {"value": value, "limit": limit, **figures})


def relative_error(found: Tensor, exact: Tensor) -> float:
    """The largest error of `found`, on any device, relative to the largest number of `exact`, float64 on the CPU."""
    return float((found.cpu().double() - exact).abs().max() / exact.abs().max())


def largest(errors: Iterable[float]) -> float:
    """The largest error; NaN if any of them is not a number, which `max` may overlook."""
    return max(errors, key=lambda error: (error != error, error))
