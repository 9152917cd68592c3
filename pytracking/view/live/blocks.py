"""The blocks of the live page, a window each: their names and positions, what they request, and what they show."""

from __future__ import annotations

from html import escape

import numpy as np

from pytracking.tracker.events import RefinementPaths, ScoreMap
from pytracking.utils.drawing import BOX, GROUND_TRUTH, Colour, draw_box, draw_label, label_size
from pytracking.view.base import Request, TrackedFrame
from pytracking.view.live import figures
from pytracking.view.live.client import WindowPosition
from pytracking.view.live.snapshot import RunStatus, Snapshot
from pytracking.view.picture import draw_frame

TRACKING, STATUS, HELP, BLOCKS = "Tracking", "Status", "Help", "Blocks"
DENSITY, MARGINALS, REFINEMENT = "Density", "Marginals", "Refinement"
SCORES, LOSS, TIME = "Score map", "Optimiser loss", "Energy and credible width"

PLOTS = (DENSITY, MARGINALS, REFINEMENT, SCORES, TIME, LOSS)
SWITCHABLE = (*PLOTS, HELP)
"""The blocks that can be switched off. 'Tracking' cannot: visdom's page reports keys, whatever window they are pressed
in, only while there is a window with a picture."""

POSITIONS = {
    TRACKING: WindowPosition(0, 0, 37, 22),
    DENSITY: WindowPosition(37, 0, 30, 22),
    MARGINALS: WindowPosition(67, 0, 33, 22),
    REFINEMENT: WindowPosition(0, 22, 40, 22),
    SCORES: WindowPosition(40, 22, 26, 22),
    TIME: WindowPosition(66, 22, 34, 22),
    LOSS: WindowPosition(0, 44, 26, 17),
    STATUS: WindowPosition(26, 44, 23, 17),
    BLOCKS: WindowPosition(49, 44, 22, 17),
    HELP: WindowPosition(71, 44, 29, 17),
}
"""In the order in which the windows are made: 1280 x 920 pixels. A page first arranges its windows in rows of 100
columns, then in rows of as many columns as it has, where narrow windows move up into free space. So no row has more
than 100 columns, and windows that may come to stand side by side have similar heights."""

HELP_HTML = """
<div style="padding: 6px 10px; line-height: 1.4; font-size: 13px">
<b>Click on a window</b>, then press a key:<br>
<b>space</b> pauses the tracker, or resumes it;<br>
<b>&rarr;</b> pauses it, then tracks one frame at a time.<br>
<b>Blocks</b>: check boxes open and close windows. While the tracker runs, a closed window costs no time.<br>
The view may skip frames, the tracker skips none: the view never takes longer than the tracker.<br>
After a restart of the server, reload this page.
</div>
"""

FIRST_BOX: Colour = (86, 180, 233)
_BADGES = {"running": "#1b7f4b", "paused": "#b45309", "finished": "#3b5998", "stopped": "#b91c1c"}
_RELIABLE = 30  # effective samples

_NEED_DENSITY = {DENSITY, MARGINALS, TIME}
_NEED_EVENTS = {REFINEMENT, SCORES, LOSS}


def block_request(block: str) -> Request:
    """What a block needs of the tracker."""
    return Request(block in _NEED_DENSITY, block in _NEED_EVENTS)


def was_requested(block: str, snapshot: Snapshot) -> bool:
    """Whether the run requested what the block shows of this frame."""
    return snapshot.request | block_request(block) == snapshot.request


# -- the picture -------------------------------------------------------------------------------------------------


def picture_size() -> tuple[int, int]:
    """Width and height in pixels of a picture that fills its window.

    visdom's page centres a picture as if the window had no bar, and cuts off what is then too low.
    """
    width, height = POSITIONS[TRACKING].pixels
    return width, height - 15


def tracking_picture(frame: TrackedFrame, width: int, height: int) -> np.ndarray:
    """The frame with the boxes of all targets: the first one, the true one and the tracker's.

    Args:
        frame: to draw.
        width: of the picture, in pixels; the frame is centred in it.
        height: of the picture.

    Returns:
        uint8 (height, width, 3) RGB.
    """
    scale = min(width / frame.image.shape[1], height / frame.image.shape[0])
    picture = draw_frame(frame, scale, density=False)[:height, :width]
    for target in frame.targets:
        draw_box(picture, target.first_box, FIRST_BOX, 1, scale)
    legend = {"output": BOX, "truth": GROUND_TRUTH, "first box": FIRST_BOX}
    if all(target.truth is None for target in frame.targets):
        del legend["truth"]
    x = 6.0
    for name, colour in legend.items():
        label_width, label_height = label_size(name)
        draw_label(picture, name, (x, picture.shape[0] - label_height - 6), colour)
        x += label_width + 6
    canvas = np.full((height, width, 3), 255, np.uint8)
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas


# -- the plots ---------------------------------------------------------------------------------------------------


def block_figure(block: str, snapshot: Snapshot) -> figures.Figure:
    """The plot of a block; words if there is nothing to plot."""
    frame, history = snapshot.frame, snapshot.history
    target = frame.targets[0]
    if block == TIME:
        if not len(history.values):
            return figures.message("from the second frame on,<br>if the tracker has an energy")
        (frames, energies), (wide_frames, widths) = history.values.T, history.widths.T
        return figures.over_time(frames, energies, wide_frames, widths, history.value_name)
    if block == LOSS:
        losses = history.losses
        return figures.optimizer_loss(losses) if losses else figures.message("the tracker has reported no loss so far")
    if not was_requested(block, snapshot):
        return figures.message("this block was off when the frame was tracked:<br>it shows the next frame")
    if block in (DENSITY, MARGINALS):
        density = target.output.density
        if density is None:
            return figures.message(_no_density(snapshot))
        return (figures.density if block == DENSITY else figures.marginals)(frame, density)
    for event in target.events:
        if block == REFINEMENT and isinstance(event, RefinementPaths):
            return figures.refinement(frame, event)
        if block == SCORES and isinstance(event, ScoreMap):
            return figures.score_map(frame, event)
    name = block.lower()
    if frame.index == 0:
        return figures.message(f"from the second frame on,<br>if the tracker has a {name}")
    return figures.message(f"no {name} in this frame: the target was not found,<br>or the tracker has none")


def _no_density(snapshot: Snapshot) -> str:
    if snapshot.frame.index == 0:
        return "from the second frame on,<br>if the tracker has a density"
    if snapshot.history.value_name != "energy":
        return "no density: this network predicts an IoU,<br>which is no energy, so there is no p(y|x)"
    return "no density: this tracker has no p(y|x)"


# -- the texts ---------------------------------------------------------------------------------------------------


def status_html(frame: TrackedFrame, run: RunStatus, effective_sample_size: float | None) -> str:
    """The content of the status window: a badge with the run's state, and a table."""
    output = frame.targets[0].output
    rows = {
        "sequence": frame.title if len(frame.targets) == 1 else f"{frame.title}, {len(frame.targets)} targets",
        "frame": f"{frame.index + 1}" if frame.total is None else f"{frame.index + 1} of {frame.total}",
        "score": f"{output.score:.2f}, {output.flag.replace('_', ' ')}",
        "box": "{:.1f}, {:.1f} px, {:.1f} x {:.1f}".format(*output.box),
        "tracker": f"{1 / run.seconds:.0f} frames/s" if run.seconds > 0 else "",
        "not drawn": f"{run.skipped} tracked frames",
    }
    if effective_sample_size is not None:
        trust = "" if effective_sample_size >= _RELIABLE else ": do not trust its intervals"
        rows["density"] = f"worth {effective_sample_size:.0f} samples{trust}"
    cells = "".join(
        f'<tr><td style="color: #5b6068; padding-right: 14px; vertical-align: top">{escape(name)}</td>'
        f"<td>{escape(value)}</td></tr>"
        for name, value in rows.items()
    )
    badge = (
        f'<span id="view-state" style="background: {_BADGES[run.state]}; color: white; border-radius: 3px; '
        f'padding: 1px 8px; font-weight: bold">{run.state}</span>'
    )
    return f'<div style="padding: 6px 10px; line-height: 1.5">{badge}<table>{cells}</table></div>'
