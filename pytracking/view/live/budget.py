"""How much time the live view may take, so that it never slows tracking to less than half its speed."""

from __future__ import annotations

from collections import deque

CEILING = 1.0
"""Seconds that can be saved: a view that did little for long must not do much at once."""
SHARE = 0.35
"""The view's share of the tracker's time."""

_RECENT_FRAMES, _MIN_FRAMES = 300, 10
_TOLERANCE = 1.25  # an undisturbed tracker's own frames differ by as much
_NEWEST_COST = 0.3  # weight of the newest cost in the expected one
_NEWEST_LOSS = 0.05  # weight of the newest frame in what the tracker loses to other programs


class Budget:
    """The view earns credit while the tracker works. It asks before it spends credit, and reports what it spent.

    Costs have named kinds; the next cost of a kind is expected from the earlier ones. In total the view takes at most
    SHARE of the tracker's time. If a cost exceeds its expectation, the view waits until it has earned that too.
    """

    def __init__(self) -> None:
        self._credit = 0.0
        self._expected: dict[str, float] = {}

    def tracked(self, seconds: float) -> None:
        """The tracker worked for `seconds`."""
        highest = sum(self._expected.values())  # this must become affordable at some time
        self._credit = min(self._credit + SHARE * seconds, max(CEILING, highest))

    def spent(self, kind: str, seconds: float, free: bool = False) -> None:
        """The view worked for `seconds`; `free` of charge if the user waited for it, as while paused."""
        before = self._expected.get(kind, seconds)
        self._expected[kind] = before + _NEWEST_COST * (seconds - before)
        if not free:
            self._credit -= seconds

    def lost(self, seconds: float) -> None:
        """The view made the tracker `seconds` slower, or faster if negative.

        This debt is limited: a machine that stalls once is no reason to show nothing for a minute.
        """
        self._credit = max(self._credit - seconds, min(self._credit, -CEILING))

    def allows(self, *kinds: str) -> bool:
        """Whether the credit covers all these kinds together. A kind that never occurred counts as free."""
        return self._credit > 0 and self._credit >= sum(self._expected.get(kind, 0.0) for kind in kinds)


class Slowdown:
    """Estimates the time that the tracker loses to the server, the browser and Python's lock on shared cores.

    It cannot be measured where it arises. It shows as frames that take longer than the fastest recent ones by more than
    the usual variation. Frames while the view is idle tell how much the tracker loses to other programs; the view does
    not owe that.
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_RECENT_FRAMES)
        self._elsewhere = 0.0

    def lost(self, seconds: float, view_idle: bool) -> float:
        """The part of a frame's `seconds` that the view caused. Its mean is 0 if the view causes nothing, so some
        values are negative.

        Args:
            seconds: of the frame.
            view_idle: the view and its page have done nothing for a while.
        """
        if len(self._recent) < _MIN_FRAMES:
            self._recent.append(seconds)
            return 0.0
        fast = sorted(self._recent)[len(self._recent) // 32]  # the very fastest may be an error of the clock
        self._recent.append(seconds)
        slower = max(seconds - _TOLERANCE * fast, 0.0)
        if view_idle:
            self._elsewhere += _NEWEST_LOSS * (slower - self._elsewhere)
            return 0.0
        return slower - self._elsewhere
