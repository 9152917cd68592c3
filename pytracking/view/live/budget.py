"""How much a view may cost, so that it never slows tracking below half its speed."""

from __future__ import annotations

from collections import deque

CEILING = 1.0  # seconds that can be saved up: a view that did little for long must not do much at once
SHARE = 0.35  # of the tracker's time
_PACE_FRAMES, _PACE_LEAST = 300, 10
_PACE_ROOM = 1.25  # a tracker's own frames differ by as much
_NEWEST = 0.3  # weight of the newest cost in what is expected of the next
_ALONE = 0.05  # weight of the newest frame in what the tracker loses to other programs


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

    def lost(self, seconds: float) -> None:
        """The view made the tracker `seconds` slower, or less slow if negative. There is an end to that debt: a machine
        that stands still for a moment is no reason to show nothing for a minute."""
        self._credit = max(self._credit - seconds, min(self._credit, -CEILING))

    def allows(self, *kinds: str) -> bool:
        """Whether all these together can be paid. What a kind costs that never came up is not known, and taken as
        nothing."""
        return self._credit > 0 and self._credit >= sum(self._expected.get(kind, 0.0) for kind in kinds)


class Pace:
    """What the tracker loses to the server, the browser and Python's lock, on cores that it shares with them.

    That cannot be measured where it arises; it shows in frames that take longer than the fastest of late, by more than
    frames do that the tracker has for itself. Those tell what it loses to other programs, which the view does not owe.
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_PACE_FRAMES)
        self._elsewhere = 0.0

    def lost(self, seconds: float, alone: bool) -> float:
        """Of the `seconds` that a frame took, those that it would not have taken without the view: 0 in the mean where
        the view changes nothing, so some are negative.

        Args:
            seconds: of the frame.
            alone: the view and its page have done nothing for a while.
        """
        if len(self._recent) < _PACE_LEAST:
            self._recent.append(seconds)
            return 0.0
        fast = sorted(self._recent)[len(self._recent) // 32]  # the very fastest may be a fault of the clock
        self._recent.append(seconds)
        slower = max(seconds - _PACE_ROOM * fast, 0.0)
        if alone:
            self._elsewhere += _ALONE * (slower - self._elsewhere)
            return 0.0
        return slower - self._elsewhere
