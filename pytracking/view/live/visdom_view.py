"""The live view: what a tracker does, in a browser, by a server of visdom.

The run's thread only hands over its newest frame. Another thread draws and sends it, and leaves out frames where that
would cost more time than the tracking itself; what is wished for beyond the boxes is limited in the same way.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tqdm import tqdm

from pytracking.view.base import NO_REQUEST, Request, TrackedFrame
from pytracking.view.live.blocks import PLACES, SWITCHED, needs
from pytracking.view.live.budget import Budget, Pace
from pytracking.view.live.client import ServerError, VisdomClient
from pytracking.view.live.controls import Controls
from pytracking.view.live.history import History
from pytracking.view.live.page import Moment, Painter, Run, Screen

EVERY = 0.1
"""Seconds between two frames: the page draws no more often."""
EVERY_WHOLE = 0.25
"""Seconds between two frames with all their blocks: a browser needs some time for its plots."""
SETTLED = 0.5
"""Seconds after a frame was sent until server and browser have done all that it needs."""
RETRY = 2.0
"""Seconds between two attempts to reach the server."""
PATIENCE = 5.0
"""Seconds that the beginning waits for the server, and the end for its last frame to be shown."""


class Client(Screen, Protocol):
    """What is needed of :class:`VisdomClient`."""

    address: str

    @property
    def connected(self) -> bool: ...

    def connect(self) -> None: ...

    def forget(self, title: str) -> None: ...

    def close(self) -> None: ...


class VisdomView:
    """Shows frames in visdom's page. See :class:`~pytracking.view.base.View`.

    It never fails and never waits for the server: without one, or when one goes away, it says so in one line, and the
    run goes on. When one is there (again), so are the windows.

    Args:
        server: host name or address of visdom's server.
        port: its port.
        make_client: what to connect by.
        say: takes a line for the user.
        clock: seconds.
        work_clock: seconds of work of the thread that asks; waiting for the server takes nothing from the tracker.
    """

    def __init__(
        self,
        server: str = "localhost",
        port: int = 8097,
        make_client: Callable[..., Client] = VisdomClient,
        say: Callable[[str], None] = lambda line: tqdm.write(line, file=sys.stderr),
        clock: Callable[[], float] = time.perf_counter,
        work_clock: Callable[[], float] = time.thread_time,
    ):
        self._say, self._clock, self._work_clock = say, clock, work_clock
        self._condition = threading.Condition(threading.RLock())
        self._budget, self._pace = Budget(), Pace()
        self._controls = Controls(SWITCHED, self._wake)
        self._client = make_client(server, port, PLACES, self._take_event, self._lost)
        self._painter = Painter(self._client)
        self._history = History()
        self._first = True  # the coming frame is the first of a run
        self._asked = NO_REQUEST
        self._whole = False  # the coming frame is drawn with all its blocks
        self._watched = False  # and the user waits for it
        self._moment: Moment | None = None  # to be drawn
        self._newest: Moment | None = None
        self._busy = self._stale = self._closing = self._ended = False
        self._closed_windows: set[str] = set()
        self._last = self._last_whole = -math.inf  # when a frame was handed over
        self._last_work = -math.inf  # when the view's thread had last done something
        self._state = "running"
        self._left_out = 0
        self._seconds = 0.0
        self._tried = threading.Event()
        self._thread = threading.Thread(target=self._work, name="live view", daemon=True)
        self._thread.start()
        self._tried.wait(PATIENCE)

    # -- the run's thread ----------------------------------------------------------------------------------------

    def request(self) -> Request:
        blocks = self._controls.blocks
        with self._condition:
            self._watched = self._is_on() and self._controls.paused
            self._whole = self._watched or self._is_due(EVERY_WHOLE, self._last_whole, "asked", "whole")
            # While paused also of blocks that are off: they may be switched on and are then to show this frame.
            wishes = [needs(block) for block, on in blocks.items() if on or self._watched]
            self._asked = NO_REQUEST
            if self._whole:
                self._asked = Request(any(w.density for w in wishes), any(w.events for w in wishes))
            return self._asked

    def show(self, frame: TrackedFrame) -> bool:
        seconds = sum(target.seconds for target in frame.targets)
        extra = sum(target.view_seconds for target in frame.targets)
        with self._condition:
            if frame.index == 0:
                self._history = History()
            self._history.add(frame)
            self._account(frame.index, seconds, extra)
            self._first = frame.index + 1 == frame.total
            hold = self._is_on() and self._controls.paused and (self._watched or self._first)
            self._state = "paused" if hold else "running"
            self._newest = Moment(frame, self._history, self._whole, self._asked)
            if hold or self._whole or self._is_due(EVERY, self._last, "light"):
                self._hand_over(self._newest)
            else:
                self._left_out += 1
        if hold:
            self._controls.hold()
            if not self._controls.paused:
                self._state = "running"
                self._wake()
        return True

    def close(self, complete: bool) -> None:
        with self._condition:
            self._state = "finished" if complete else "stopped"
            if self._newest is not None and self._is_on():
                self._hand_over(self._newest)
            self._closing = True
            self._condition.notify_all()
        if self._is_on():
            self._thread.join(PATIENCE)
        self._client.close()

    def _account(self, index: int, seconds: float, extra: float) -> None:
        """Keep the tracker's mean time, and take down what it worked for itself and what for the view."""
        if index < 2 or not self._asked.events:
            self._seconds = seconds if index < 2 else 0.9 * self._seconds + 0.1 * seconds
        idle = not self._busy and self._moment is None and not any(self._asked)
        alone = idle and self._clock() - seconds - self._last_work >= SETTLED
        lost = self._pace.lost(seconds, alone) if index > 1 else 0.0  # the first takes longer by its nature
        self._budget.tracked(seconds - max(lost, 0.0))
        # Telling of events is part of a frame's seconds, and never costs more than tracking.
        telling = min(max(lost, 0.0), seconds - lost) if self._asked.events else 0.0
        if any(self._asked):
            self._budget.spent("asked", extra + telling, free=self._watched)
        if not self._watched:
            self._budget.lost(lost - telling)

    def _is_on(self) -> bool:
        return self._client.connected and not self._ended

    def _is_due(self, every: float, last: float, *costs: str) -> bool:
        """Whether another frame can be drawn: the thread is idle, the page has had its time, and the tracker its."""
        if not self._is_on() or self._busy or self._moment is not None:
            return False
        return self._first or (self._clock() - last >= every and self._budget.allows(*costs))

    def _hand_over(self, moment: Moment) -> None:
        self._moment = moment
        self._last = self._clock()
        if moment.whole:
            self._last_whole = self._last
        self._condition.notify_all()

    # -- events of the page, from the client's thread ------------------------------------------------------------

    def _take_event(self, event: Mapping[str, Any]) -> None:
        if event.get("event_type") == "close":
            with self._condition:
                self._closed_windows.add(str(event.get("target")))
        self._controls.handle(event)

    def _wake(self) -> None:
        with self._condition:
            self._stale = True
            self._condition.notify_all()

    def _lost(self) -> None:
        line = f"live view: the server at {self._client.address} is gone; the run goes on"
        self._say(line + (", though it was paused" if self._controls.release() else ""))
        self._wake()

    # -- the view's thread ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while True:
                if not self._client.connected and not self._closing:
                    self._connect()
                moment = self._next()
                if self._client.connected:
                    self._paint(moment)
                if self._closing and self._moment is None:
                    return
        except Exception as error:
            self._ended = True
            self._say(f"live view: it ended by a fault of its own ({type(error).__name__}: {error}); the run goes on")
            self._controls.release()
        finally:
            self._tried.set()

    def _connect(self) -> None:
        first = not self._tried.is_set()
        try:
            self._client.connect()
        except ServerError as error:
            if first:
                self._say(
                    f"live view: no server at {self._client.address} ({error}); start one with 'python -m "
                    "pytracking.view.server' or 'python -m visdom.server'. The run goes on"
                )
        else:
            if self._closing:
                return
            self._say(f"live view: {self._client.address}" + ("" if first else " is there; the windows are shown"))
            self._painter.forget()
            self._wake()
        self._tried.set()

    def _next(self) -> Moment | None:
        """Wait for something to do, or for the time of the next attempt to connect."""
        with self._condition:
            self._busy, self._last_work = False, self._clock()
            timeout = None if self._client.connected else RETRY
            self._condition.wait_for(lambda: self._moment is not None or self._stale or self._closing, timeout)
            moment, self._moment = self._moment, None
            self._busy, self._stale = moment is not None, False
            for title in self._closed_windows:
                self._client.forget(title)
                self._painter.forget_window(title)
            self._closed_windows.clear()
            return moment

    def _paint(self, moment: Moment | None) -> None:
        start = self._work_clock()
        try:
            self._painter.paint(moment, Run(self._state, self._seconds, self._left_out), self._controls.blocks)
        except ServerError:
            return  # said already, by what noticed that the connection is lost
        if moment is not None:
            with self._condition:
                kind = "whole" if moment.whole else "light"
                self._budget.spent(kind, self._work_clock() - start, free=self._state != "running")
