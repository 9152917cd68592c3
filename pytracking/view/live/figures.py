"""The live view's plots: from a tracked frame to what plotly draws.

Every function returns `(traces, layout)`, lists and dicts that JSON can hold.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pytracking.tracker.density import COORDINATES, TrackedBoxDensity
from pytracking.tracker.events import OptimizerLoss, RefinementPaths, ScoreMap
from pytracking.utils.drawing import BOX
from pytracking.view.base import Target, TrackedFrame
from pytracking.view.live import plot_parts as parts

Figure = tuple[list[parts.Trace], parts.Layout]

LEVEL = 0.95
"""Of the credible intervals."""

INK = "#16181c"
PREDICTION = parts.css(BOX)
TRUTH = "#ffffff"
_TRUTH_ON_WHITE = "#1b7f4b"
_START = "#56b4e9"
_BEST = "#f0e442"


def density(frame: TrackedFrame, density: TrackedBoxDensity) -> Figure:
    """p(y|x) as a heatmap over the frame, while the top-right corner moves (Figure S2)."""
    target = frame.targets[0]
    corner = density.corner
    share = np.exp(0.5 * (corner.log_density - corner.log_density.max()))
    peak = math.exp(float(corner.log_density.max()))
    heat = {
        "type": "heatmap",
        "name": "density",
        "x": parts.plain(corner.x, 2),
        "y": parts.plain(corner.y, 2),
        "z": parts.plain(share, 3),
        "zmin": 0,
        "zmax": 1,
        "zsmooth": "best",
        "colorscale": parts.fading_colours(),
        "colorbar": {**parts.colour_bar(), "tickvals": [0, 0.5, 1]},
        "hovertemplate": "corner at %{x:.1f}, %{y:.1f}<br>√(p / peak) %{z:.2f}<extra></extra>",
    }
    traces = [heat, *_boxes(target), parts.point("fixed", *corner.anchor, PREDICTION, size=9)]
    x, y, w, h = target.output.box
    window = (min(x, corner.x[0]), corner.y[0], max(x + w, corner.x[-1]), max(y + h, corner.y[-1]))
    title = f"frame {frame.index + 1}: √(p / peak), peak {peak:.2g} px⁻²"
    return traces, parts.frame_layout(frame.image, window, title, aspect=0.95)


def marginals(frame: TrackedFrame, density: TrackedBoxDensity) -> Figure:
    """The marginal densities of left, top, width and height, with their credible intervals."""
    target = frame.targets[0]
    layout = parts.layout(f"frame {frame.index + 1}; in brackets the width of the interval")
    layout |= {"shapes": [], "annotations": [], "margin": {"l": 54, "r": 14, "t": 48, "b": 34}}
    traces = []
    for index, name in enumerate(COORDINATES):
        points, values = density.marginal(name, num_points=96)
        low, high = density.interval(name, LEVEL)
        number = "" if index == 0 else str(index + 1)
        axes: dict[str, Any] = {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        inside = (points >= low) & (points <= high)
        shaded = (np.r_[low, points[inside], high], np.interp(np.r_[low, points[inside], high], points, values))
        traces += [
            parts.line(f"{LEVEL:.0%} interval", *shaded, "rgba(230,40,30,0)", fill="rgba(230,40,30,0.22)", **axes),
            parts.line("density", points, values, PREDICTION, **axes),
        ]
        top = float(values.max())
        traces.append(parts.vertical_line("output", target.output.box[index], top, INK, "solid", **axes))
        if target.truth is not None:
            traces.append(parts.vertical_line("truth", target.truth[index], top, _TRUTH_ON_WHITE, "dot", **axes))
        column, row = index % 2, index // 2
        across = [0.0, 0.44] if column == 0 else [0.56, 1.0]
        up = [0.57, 0.93] if row == 0 else [0.0, 0.36]
        layout[f"xaxis{number}"] = {**parts.axis(""), "domain": across, "anchor": f"y{number}", "nticks": 5}
        layout[f"yaxis{number}"] = {
            **parts.axis("px⁻¹" if column == 0 else ""),
            "domain": up,
            "anchor": f"x{number}",
            "rangemode": "tozero",
            "nticks": 4,
        }
        text = f"<b>{name}</b>, px  [{high - low:.1f}]"
        layout["annotations"].append(parts.caption(text, across[0], up[1] + 0.005))
    for count, trace in enumerate(traces):
        trace["showlegend"] = count < len(traces) // 4 and trace["name"] != "density"
    layout["legend"] = {**parts.legend(), "y": 1.0}
    return traces, layout


def refinement(frame: TrackedFrame, paths: RefinementPaths) -> Figure:
    """Start boxes and the paths of their top-right corners on the frame; beside it, f at every step."""
    target = frame.targets[0]
    starts, ends = paths.boxes[0], paths.boxes[-1]
    traces = [
        parts.box_outlines("starts", starts, _START, 1.0),
        parts.box_outlines("best ends", ends[paths.best], _BEST, 1.5),
    ]
    corners = paths.boxes[..., :2] + paths.boxes[..., 2:] * (1, 0)  # (T + 1, M, 2): top-right, as in the density
    best = set(paths.best.tolist())
    others = [m for m in range(corners.shape[1]) if m not in best]
    traces.append(parts.paths("corner's paths", corners[:, others], "rgba(86,180,233,0.9)", 1))
    traces.append(parts.paths("paths of the best", corners[:, paths.best], _BEST, 1.6))
    traces += _boxes(target)
    for trace in traces:
        trace["showlegend"] = trace["name"] not in ("paths of the best", "truth")
    steps = np.arange(len(paths.values))
    for m in (*others, *paths.best.tolist()):
        colour = PREDICTION if m in best else "rgba(86,180,233,0.8)"
        name = f"{paths.value_name} of box {m + 1}"
        line = parts.line(name, steps, paths.values[:, m], colour, xaxis="x2", yaxis="y2")
        traces.append({**line, "showlegend": False})
    boxes = np.concatenate([paths.boxes.reshape(-1, 4), target.output.box[None]])
    (left, top), (right, bottom) = boxes[:, :2].min(0), (boxes[:, :2] + boxes[:, 2:]).max(0)
    title = f"{len(starts)} boxes climb the {paths.value_name}, frame {frame.index + 1}"
    layout = parts.frame_layout(frame.image, (left, top, right, bottom), title, aspect=1.0)
    layout["xaxis"]["domain"] = [0.0, 0.52]
    layout["xaxis2"] = {**parts.axis("step"), "domain": [0.68, 1.0], "anchor": "y2", "nticks": 6}
    layout["yaxis2"] = {**parts.axis(paths.value_name), "anchor": "x2", "nticks": 6}
    return traces, layout


def score_map(frame: TrackedFrame, scores: ScoreMap) -> Figure:
    """The classifier's response, laid over the search region."""
    x, y, w, h = scores.region
    rows, columns = scores.scores.shape
    across, down = np.linspace(x, x + w, columns), np.linspace(y, y + h, rows)
    highest = float(scores.scores.max())
    row, column = np.unravel_index(int(scores.scores.argmax()), scores.scores.shape)
    heat = {
        "type": "heatmap",
        "name": "score",
        "x": parts.plain(across, 2),
        "y": parts.plain(down, 2),
        "z": parts.plain(scores.scores, 3),
        "zmin": 0,
        "zmax": round(max(highest, scores.threshold), 3),
        "zsmooth": "best",
        "colorscale": parts.fading_colours(),
        "colorbar": parts.colour_bar(),
        "hovertemplate": "%{x:.0f}, %{y:.0f}<br>score %{z:.2f}<extra></extra>",
    }
    peak = parts.point("highest", across[column], down[row], "#ffffff", size=7, symbol="x")
    window = (across[0], down[0], across[-1], down[-1])
    title = f"frame {frame.index + 1}; no target below {scores.threshold:.2f}"
    layout = parts.frame_layout(frame.image, window, title, aspect=1.0, margin=0.0)
    return [heat, {**peak, "showlegend": False}], layout


def optimizer_loss(losses: dict[str, OptimizerLoss]) -> Figure:
    """The classifier's objective before and after each Gauss-Newton step; `losses` by name, in order of time."""
    traces = []
    for (name, loss), colour in zip(losses.items(), (_START, PREDICTION), strict=False):
        traces.append(parts.line(name, np.arange(len(loss.losses)), loss.losses, colour, mode="lines+markers"))
    layout = parts.layout("the classifier's least squares")
    most_steps = max((len(loss.losses) for loss in losses.values()), default=0)
    layout |= {"xaxis": {**parts.axis("Gauss-Newton step"), "dtick": 1 if most_steps < 8 else 10}}
    layout |= {"yaxis": {**parts.axis("loss"), "type": "log", "exponentformat": "none", "dtick": "D2"}}
    return traces, layout


def over_time(
    frames: np.ndarray, energies: np.ndarray, wide_frames: np.ndarray, widths: np.ndarray, value_name: str
) -> Figure:
    """f of the output, and the width of the credible intervals relative to the box's size.

    Args:
        frames: (N,) numbers of frames, from 1.
        energies: (N,) f in these frames.
        wide_frames: (K,) numbers of the frames with a density.
        widths: (K,) in percent.
        value_name: what f is.
    """
    width_name = f"{LEVEL:.0%} interval's width"
    traces = [
        parts.line(value_name, frames, energies, _START),
        parts.line(width_name, wide_frames, widths, PREDICTION, mode="lines+markers", yaxis="y2"),
    ]
    traces[1]["marker"] = {"size": 4, "color": PREDICTION}
    layout = parts.layout("width: mean over the sides, relative to the box")
    layout["margin"] |= {"r": 56}
    layout |= {"xaxis": {**parts.axis("frame"), "rangemode": "nonnegative"}, "yaxis": parts.axis(value_name)}
    layout["yaxis2"] = {
        **parts.axis("width, % of the box"),
        "overlaying": "y",
        "side": "right",
        "rangemode": "tozero",
        "showgrid": False,
        "color": PREDICTION,
    }
    return traces, layout


def message(text: str) -> Figure:
    """A text in the place of a plot."""
    layout = parts.layout("")
    layout |= {"xaxis": {"visible": False}, "yaxis": {"visible": False}}
    layout["annotations"] = [
        {
            "text": text,
            "xref": "paper",
            "yref": "paper",
            "x": 0.5,
            "y": 0.5,
            "showarrow": False,
            "font": {**parts.FONT, "size": 13, "color": parts.MUTED},
        }
    ]
    return [{"type": "scatter", "name": "nothing", "x": [], "y": []}], layout


def relative_width(density: TrackedBoxDensity) -> float:
    """The mean width of the four sides' credible intervals, each relative to the box's extent along it."""
    widths = np.diff(density.intervals(LEVEL), axis=1)[:, 0]
    w, h = density.box[2:]
    return float(np.mean(widths / (w, h, w, h)))


def _boxes(target: Target) -> list[dict[str, Any]]:
    traces = []
    if target.truth is not None:
        traces.append(parts.box_outlines("truth", target.truth[None], TRUTH, 3.5))
    traces.append(parts.box_outlines("output", target.output.box[None], PREDICTION, 2))
    return traces
