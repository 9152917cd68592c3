"""The live view: shows what a tracker does in a browser, through a server of visdom.

The run's thread only hands over its newest frame. Another thread draws and sends it. It skips frames where drawing
would take more time than the budget allows; what the view requests beyond the boxes is limited in the same way.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from tqdm import tqdm

from pytracking.view.base import NO_REQUEST, Request, TrackedFrame
from pytracking.view.live.blocks import POSITIONS, SWITCHABLE, block_request
from pytracking.view.live.budget import Budget, Slowdown
from pytracking.view.live.client import DEFAULT_PORT, ServerError, VisdomClient
from pytracking.view.live.controls import Controls
from pytracking.view.live.page import Page
from pytracking.view.live.snapshot import History, RunStatus, Snapshot

FRAME_INTERVAL = 0.1
"""Least seconds between two drawn frames: the page draws no faster."""
PLOT_INTERVAL = 0.25
"""Least seconds between two frames with plots: a browser takes some time for its plots."""
SETTLING_TIME = 0.5
"""Seconds after a frame was sent until server and browser have done all their work for it."""
RETRY_INTERVAL = 2.0
"""Seconds between two attempts to reach the server."""
MAX_WAIT = 5.0
"""Most seconds to wait for the server at the beginning, and for the last frame to be shown at the end."""

_UNGUARDED = "visdom's own server, which any page in your browser can command; ebm-view refuses them"

# Kinds of cost, see `Budget`.
_REQUESTS, _PICTURE, _PLOTS = "requests", "picture", "plots"


class VisdomView:
    """Shows a run in visdom's page, see :class:`~pytracking.view.base.View`.

    It never fails and never waits for the server. Without a server, or when one goes away, it says so in one line and
    the run continues; when a server is there (again), so are the windows.

    Args:
        server: host name or address of visdom's server.
        port: its port.
        make_client: makes the connection.
        say: takes a line for the user.
        clock: returns seconds.
        work_clock: returns seconds of work of the calling thread; waiting for the server takes nothing from the
            tracker.
    """

    def __init__(
        self,
        server: str = "localhost",
        port: int = DEFAULT_PORT,
        make_client: Callable[..., VisdomClient] = VisdomClient,
        say: Callable[[str], None] = lambda line: tqdm.write(line, file=sys.stderr),
        clock: Callable[[], float] = time.perf_counter,
        work_clock: Callable[[], float] = time.thread_time,
    ):
        self._say, self._clock, self._work_clock = say, clock, work_clock
        self._condition = threading.Condition(threading.RLock())
        self._budget, self._slowdown = Budget(), Slowdown()
        self._controls = Controls(SWITCHABLE, self._redraw)
        self._client = make_client(server, port, POSITIONS, self._take_event, self._lost)
        self._page = Page(self._client)
        self._history = History()
        self._first = True  # the coming frame is the first of a run
        self._request = NO_REQUEST  # for the coming frame
        self._with_plots = False  # the coming frame is drawn with its plots
        self._user_waits = False  # for the coming frame
        self._pending: Snapshot | None = None  # to be drawn
        self._newest: Snapshot | None = None
        self._busy = self._stale = self._closing = self._failed = False
        self._closed_windows: set[str] = set()
        self._last = self._last_with_plots = -math.inf  # when a frame was handed over
        self._last_work = -math.inf  # when the view's thread last finished something
        self._state = "running"
        self._skipped = 0
        self._seconds = 0.0
        self._tried = threading.Event()
        self._thread = threading.Thread(target=self._work, name="live view", daemon=True)
        self._thread.start()
        self._tried.wait(MAX_WAIT)

    # -- the run's thread ----------------------------------------------------------------------------------------

    def request(self) -> Request:
        blocks = self._controls.blocks
        with self._condition:
            self._user_waits = self._is_on() and self._controls.paused
            self._with_plots = self._user_waits or self._is_due(PLOT_INTERVAL, self._last_with_plots, _REQUESTS, _PLOTS)
            self._request = NO_REQUEST
            if self._with_plots:
                for block, on in blocks.items():
                    # While paused, the user may switch a block on to see this very frame.
                    if on or self._user_waits:
                        self._request |= block_request(block)
            return self._request

    def show(self, frame: TrackedFrame) -> bool:
        seconds = sum(target.seconds for target in frame.targets)
        view_seconds = sum(target.view_seconds for target in frame.targets)
        with self._condition:
            if frame.index == 0:
                self._history = History()
            self._history.add(frame)
            self._account(frame.index, seconds, view_seconds)
            self._first = frame.index + 1 == frame.total
            wait = self._is_on() and self._controls.paused and (self._user_waits or self._first)
            self._state = "paused" if wait else "running"
            self._newest = Snapshot(frame, self._history, self._with_plots, self._request)
            if wait or self._with_plots or self._is_due(FRAME_INTERVAL, self._last, _PICTURE):
                self._hand_over(self._newest)
            else:
                self._skipped += 1
        if wait:
            self._controls.wait_while_paused()
            if not self._controls.paused:
                self._state = "running"
                self._redraw()
        return True

    def close(self, complete: bool) -> None:
        with self._condition:
            self._state = "finished" if complete else "stopped"
            if self._newest is not None and self._is_on():
                self._hand_over(self._newest)
            self._closing = True
            self._condition.notify_all()
        if self._is_on():
            self._thread.join(MAX_WAIT)
        self._client.close()

    def _account(self, index: int, seconds: float, view_seconds: float) -> None:
        """Update the tracker's mean time, and tell the budget what the tracker worked and what the view cost."""
        if index < 2 or not self._request.events:
            self._seconds = seconds if index < 2 else 0.9 * self._seconds + 0.1 * seconds
        idle = not self._busy and self._pending is None and not any(self._request)
        idle = idle and self._clock() - seconds - self._last_work >= SETTLING_TIME
        lost = self._slowdown.lost(seconds, idle) if index > 1 else 0.0  # the first frame takes longer by nature
        self._budget.tracked(seconds - max(lost, 0.0))
        # Reporting events is part of a frame's seconds, and never costs more than tracking.
        reporting = min(max(lost, 0.0), seconds - lost) if self._request.events else 0.0
        if any(self._request):
            self._budget.spent(_REQUESTS, view_seconds + reporting, free=self._user_waits)
        if not self._user_waits:
            self._budget.lost(lost - reporting)

    def _is_on(self) -> bool:
        return self._client.connected and not self._failed

    def _is_due(self, interval: float, last: float, *costs: str) -> bool:
        """Whether another frame can be drawn: the view's thread is idle, the page has had its time, and the budget
        covers the costs."""
        if not self._is_on() or self._busy or self._pending is not None:
            return False
        return self._first or (self._clock() - last >= interval and self._budget.allows(*costs))

    def _hand_over(self, snapshot: Snapshot) -> None:
        self._pending = snapshot
        self._last = self._clock()
        if snapshot.with_plots:
            self._last_with_plots = self._last
        self._condition.notify_all()

    # -- events of the page, from the client's thread ------------------------------------------------------------

    def _take_event(self, event: Mapping[str, Any]) -> None:
        if event.get("event_type") == "close":
            with self._condition:
                self._closed_windows |= {title for title in POSITIONS if title == event.get("target")}
        self._controls.handle(event)

    def _redraw(self) -> None:
        with self._condition:
            self._stale = True
            self._condition.notify_all()

    def _lost(self) -> None:
        line = f"live view: the server at {self._client.address} is gone; the run continues"
        self._say(line + (", though it was paused" if self._controls.resume() else ""))
        self._redraw()

    # -- the view's thread ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while True:
                if not self._client.connected and not self._closing:
                    self._connect()
                snapshot = self._next()
                if self._client.connected:
                    self._draw(snapshot)
                if self._closing and self._pending is None:
                    return
        except Exception as error:
            self._failed = True
            self._say(f"live view: ended by an error of its own ({type(error).__name__}: {error}); the run continues")
            self._controls.resume()
        finally:
            self._tried.set()

    def _connect(self) -> None:
        first = not self._tried.is_set()
        try:
            self._client.connect()
        except ServerError as error:
            if first:
                self._say(
                    f"live view: no server at {self._client.address} ({error}); start one with ebm-view. The run "
                    "continues"
                )
        else:
            if self._closing:
                return
            line = f"live view: {self._client.address}" + ("" if first else " is there; the windows are shown")
            self._say(line if self._client.guarded else f"{line} ({_UNGUARDED})")
            self._page.forget()
            self._redraw()
        self._tried.set()

    def _next(self) -> Snapshot | None:
        """Wait for something to do, or for the time of the next attempt to connect."""
        with self._condition:
            self._busy, self._last_work = False, self._clock()
            timeout = None if self._client.connected else RETRY_INTERVAL
            self._condition.wait_for(lambda: self._pending is not None or self._stale or self._closing, timeout)
            snapshot, self._pending = self._pending, None
            self._busy, self._stale = snapshot is not None, False
            for title in self._closed_windows:
                self._client.forget(title)
                self._page.forget_window(title)
            self._closed_windows.clear()
            return snapshot

    def _draw(self, snapshot: Snapshot | None) -> None:
        start = self._work_clock()
        try:
            self._page.update(snapshot, RunStatus(self._state, self._seconds, self._skipped), self._controls.blocks)
        except ServerError:
            return  # `_lost` has reported it
        if snapshot is not None:
            with self._condition:
                kind = _PLOTS if snapshot.with_plots else _PICTURE
                self._budget.spent(kind, self._work_clock() - start, free=self._state != "running")
