"""Draws frames into the windows of the live view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pytracking.tracker.events import RefinementPaths, ScoreMap
from pytracking.view.base import NO_REQUEST, Request, TrackedFrame
from pytracking.view.live import figures, texts
from pytracking.view.live.blocks import (
    BLOCKS,
    DENSITY,
    HELP,
    LOSS,
    MARGINALS,
    PLACES,
    PLOTS,
    REFINEMENT,
    SCORES,
    STATUS,
    TIME,
    TRACKING,
    needs,
)
from pytracking.view.live.client import Window
from pytracking.view.live.history import History
from pytracking.view.live.images import jpeg_uri, tracking_picture


class Screen(Protocol):
    """Where windows are shown: :class:`~pytracking.view.live.client.VisdomClient`."""

    def show(self, window: Window) -> None: ...

    def hide(self, title: str) -> None: ...


@dataclass(frozen=True)
class Moment:
    """A frame as it is drawn.

    Attributes:
        whole: draw all blocks of it, not only the picture.
        asked: what the tracker was asked for in it.
    """

    frame: TrackedFrame
    history: History
    whole: bool = True
    asked: Request = NO_REQUEST


@dataclass(frozen=True)
class Run:
    """How the run goes.

    Attributes:
        state: see :func:`texts.status`.
        seconds: of the tracker, a frame.
        left_out: frames that the view did not draw.
    """

    state: str
    seconds: float
    left_out: int


class Painter:
    """Not thread-safe. All methods raise what `screen` raises."""

    def __init__(self, screen: Screen):
        self._screen = screen
        self._shown: dict[str, object] = {}  # windows, and what those depend on that are drawn only when it changes
        self._newest: Moment | None = None
        self._newest_whole: Moment | None = None

    def forget(self) -> None:
        """The windows are gone: all are made again."""
        self._shown.clear()

    def forget_window(self, title: str) -> None:
        self._shown.pop(title, None)

    def paint(self, moment: Moment | None, run: Run, blocks: dict[str, bool]) -> None:
        """Draw `moment`; without one, only what has to change with the state of the run and the blocks.

        Args:
            blocks: whether each is on; windows of those that are not are closed.
        """
        if moment is not None:
            self._newest = moment
            if moment.whole:
                self._newest_whole = moment
                self._measure(moment)
        if self._newest is None:
            return
        if moment is not None or TRACKING not in self._shown:
            picture = tracking_picture(self._newest.frame, *picture_size())
            self._show(Window(TRACKING, [{"type": "image", "content": {"src": jpeg_uri(picture)}}]))
        for block in PLOTS:
            self._paint_plot(block, blocks[block], moment is not None and moment.whole, run)
        self._show(Window(STATUS, [{"type": "text", "content": status_text(self._newest.frame, run, self._ess())}]))
        if self._shown.get(BLOCKS) != blocks:
            boxes = [{"type": "checkbox", "name": name, "value": on} for name, on in blocks.items()]
            self._show(Window(BLOCKS, [{"type": "properties", "content": boxes}]), dict(blocks))
        if not blocks[HELP]:
            self._hide(HELP)
        elif HELP not in self._shown:
            self._show(Window(HELP, [{"type": "text", "content": texts.HELP}]))

    def _paint_plot(self, block: str, on: bool, new: bool, run: Run) -> None:
        if not on:
            self._hide(block)
        elif self._newest_whole is not None and (new or block not in self._shown):
            if was_asked(block, self._newest_whole) or run.state != "running":
                self._show(Window(block, *figure(block, self._newest_whole)))

    def _hide(self, title: str) -> None:
        if title in self._shown:
            del self._shown[title]
            self._screen.hide(title)

    def _show(self, window: Window, depends_on: object = None) -> None:
        self._screen.show(window)
        self._shown[window.title] = depends_on

    def _measure(self, moment: Moment) -> None:
        density = moment.frame.targets[0].output.density
        if density is not None:
            moment.history.add_width(moment.frame.index + 1, 100 * figures.relative_width(density))

    def _ess(self) -> float | None:
        density = self._newest_whole.frame.targets[0].output.density if self._newest_whole else None
        return None if density is None else density.effective_sample_size


def picture_size() -> tuple[int, int]:
    """Width and height in pixels that fill the window of the picture: visdom's page centres a picture as if the
    window's bar were not there, and cuts off what is then too low."""
    width, height = PLACES[TRACKING].pixels
    return width, height - 15


def was_asked(block: str, moment: Moment) -> bool:
    """Whether the tracker was asked for what the block shows; the first frame has no density to be asked for."""
    need = needs(block)
    return (moment.asked.density or not need.density) and (moment.asked.events or not need.events)


def figure(block: str, moment: Moment) -> figures.Figure:
    """What a block shows of a whole frame; words where there is nothing to show."""
    frame = moment.frame
    target = frame.targets[0]
    if block == TIME:
        values, widths = moment.history.values, moment.history.widths
        if not len(values):
            return figures.message("from the second frame on,<br>if the tracker has an energy")
        return figures.over_time(*values.T, *widths.T, moment.history.value_name)
    if block == LOSS:
        losses = moment.history.losses
        return figures.optimizer_loss(losses) if losses else figures.message("the tracker told of no loss so far")
    if not was_asked(block, moment):
        return figures.message("the block was off when this frame was tracked:<br>the next frame shows it")
    if block in (DENSITY, MARGINALS):
        density = target.output.density
        if density is None:
            return figures.message(_no_density(moment))
        return (figures.density if block == DENSITY else figures.marginals)(frame, density)
    kind, draw, name = {
        REFINEMENT: (RefinementPaths, figures.refinement, "refinement"),
        SCORES: (ScoreMap, figures.score_map, "score map"),
    }[block]
    event = next((event for event in target.events if isinstance(event, kind)), None)
    if event is not None:
        return draw(frame, event)
    if frame.index == 0:
        return figures.message(f"from the second frame on,<br>if the tracker has a {name}")
    return figures.message(f"no {name} in this frame: the target was not found,<br>or the tracker has none")


def _no_density(moment: Moment) -> str:
    if moment.frame.index == 0:
        return "from the second frame on,<br>if the tracker has a density"
    if moment.history.value_name != "energy":
        return "no density: this network predicts an IoU,<br>which is no energy, so that there is no p(y|x)"
    return "no density: this tracker has no p(y|x)"


def status_text(frame: TrackedFrame, run: Run, effective_sample_size: float | None) -> str:
    """The content of the status window, as HTML."""
    output = frame.targets[0].output
    number = f"{frame.index + 1}" if frame.total is None else f"{frame.index + 1} of {frame.total}"
    rows = {
        "sequence": frame.title if len(frame.targets) == 1 else f"{frame.title}, {len(frame.targets)} targets",
        "frame": number,
        "score": f"{output.score:.2f}, {output.flag.replace('_', ' ')}",
        "box": "{:.1f}, {:.1f} px, {:.1f} x {:.1f}".format(*output.box),
        "tracker": f"{1 / run.seconds:.0f} frames/s" if run.seconds > 0 else "",
        "not drawn": f"{run.left_out} tracked frames",
    }
    if effective_sample_size is not None:
        trust = "" if effective_sample_size >= 30 else ": trust no interval"
        rows["density"] = f"worth {effective_sample_size:.0f} samples{trust}"
    return texts.status(run.state, rows)
