"""How much a view may cost, so that it never slows tracking below half its speed."""

from __future__ import annotations

CEILING = 1.0  # seconds that can be saved up: a view that did little for long must not do much at once
SHARE = 0.35  # of the tracker's time; it loses more to server, browser and Python's lock, which cannot be measured
_NEWEST = 0.3  # weight of the newest cost in what is expected of the next


class Budget:
    """While the tracker works, the view earns what it may spend; it asks before, and tells afterwards.

    Costs are of named kinds, since what one costs next is expected from what it did before. The view's costs stay
    below that share of the tracker's time in sum, but for a single cost that was more than expected; then the view
    waits until it has earned that too.
    """

    def __init__(self) -> None:
        self._credit = 0.0
        self._expected: dict[str, float] = {}

    def tracked(self, seconds: float) -> None:
        """The tracker worked for `seconds`."""
        dearest = sum(self._expected.values())  # which must be affordable some time
        self._credit = min(self._credit + SHARE * seconds, max(CEILING, dearest))

    def spent(self, kind: str, seconds: float, free: bool = False) -> None:
        """The view worked for `seconds`; `free` where the user waited for it, as while paused."""
        before = self._expected.get(kind, seconds)
        self._expected[kind] = before + _NEWEST * (seconds - before)
        if not free:
            self._credit -= seconds

    def allows(self, *kinds: str) -> bool:
        """Whether all these together can be paid. What a kind costs that never came up is not known, and taken as
        nothing."""
        return self._credit > 0 and self._credit >= sum(self._expected.get(kind, 0.0) for kind in kinds)
