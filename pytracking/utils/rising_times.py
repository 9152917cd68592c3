"""Times of pictures that a file has wrong: missing, out of order, or beginning again."""


class RisingTimes:
    """Turns the times of pictures into times that rise, as a player shows them.

    A picture without a time follows the one before it after one step. Where times begin again, as in files that were
    joined, they go on from there. A single picture that is out of order is shown after the one before it, and the
    others keep their times.

    Args:
        step: seconds between pictures of no known time.
        jump: longer gaps are joints as well.
    """

    def __init__(self, step: float, jump: float):
        self._step, self._jump = step, jump
        self._last: float | None = None  # time given last
        self._newest: float | None = None  # latest time of the part that is being read
        self._offset = 0.0  # of this part
        self._before: tuple[float, float] | None = None  # the part before, if this one has a single picture

    def __call__(self, time: float | None) -> float:
        if time is None:
            self._last = 0.0 if self._last is None else self._last + self._step
        elif self._last is None or self._newest is None:
            self._newest = time
            self._last = time if self._last is None else max(time, self._last + self._step)
            self._offset = self._last - time
        else:
            if self._before is not None:
                newest, offset = self._before
                if newest < time <= newest + abs(time - self._newest):
                    self._newest, self._offset = newest, offset
                self._before = None
            if not self._newest < time <= self._newest + self._jump:
                self._before = (self._newest, self._offset)
                self._offset = self._last + self._step - time
            self._newest = time
            shown = time + self._offset
            self._last = shown if shown > self._last else self._last + self._step / 4
        return self._last
