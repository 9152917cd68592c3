"""The live view's plots: from a frame to what plotly draws, as plain data.

Every function returns `(traces, layout)`, lists and dicts that JSON can hold. Axes are in pixels of the frame, whose
first covers [0, 1], with y downwards.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pytracking.tracker.density import COORDINATES, TrackedBoxDensity
from pytracking.tracker.events import OptimizerLoss, RefinementPaths, ScoreMap
from pytracking.utils.density_overlay import colour_map
from pytracking.utils.drawing import BOX, Colour
from pytracking.view.base import Target, TrackedFrame
from pytracking.view.live.images import backdrop

Figure = tuple[list[dict[str, Any]], dict[str, Any]]

LEVEL = 0.95
"""Of the credible intervals."""

INK = "#16181c"
_MUTED = "#5b6068"
_GRID = "#e4e6ea"
_FONT = {"family": "DejaVu Sans, Verdana, sans-serif", "size": 11, "color": INK}
_OPACITY = 0.65  # of an overlay's strongest colours


def _css(colour: Colour, alpha: float = 1.0) -> str:
    return f"rgba({colour[0]},{colour[1]},{colour[2]},{alpha:.2f})"


PREDICTION = _css(BOX)
TRUTH = "#ffffff"
_TRUTH_ON_WHITE = "#1b7f4b"
_START = "#56b4e9"
_BEST = "#f0e442"


# -- blocks ------------------------------------------------------------------------------------------------------


def density(frame: TrackedFrame, density: TrackedBoxDensity) -> Figure:
    """p(y|x) as a heatmap over the frame, while the top-right corner moves (Figure S2)."""
    target = frame.targets[0]
    corner = density.corner
    share = np.exp(0.5 * (corner.log_density - corner.log_density.max()))
    peak = math.exp(float(corner.log_density.max()))
    heat = {
        "type": "heatmap",
        "name": "density",
        "x": _plain(corner.x, 2),
        "y": _plain(corner.y, 2),
        "z": _plain(share, 3),
        "zmin": 0,
        "zmax": 1,
        "zsmooth": "best",
        "colorscale": _fading(),
        "colorbar": {**_colour_bar(), "tickvals": [0, 0.5, 1]},
        "hovertemplate": "corner at %{x:.1f}, %{y:.1f}<br>√(p / peak) %{z:.2f}<extra></extra>",
    }
    traces = [
        heat,
        *_boxes(target),
        _points("fixed", [corner.anchor[0]], [corner.anchor[1]], PREDICTION, size=9),
    ]
    x, y, w, h = target.output.box
    window = (min(x, corner.x[0]), corner.y[0], max(x + w, corner.x[-1]), max(y + h, corner.y[-1]))
    title = f"frame {frame.index + 1}: √(p / peak), peak {peak:.2g} px⁻²"
    return traces, _on_the_frame(frame, window, title, shape=0.95)


def marginals(frame: TrackedFrame, density: TrackedBoxDensity) -> Figure:
    """The densities of left, top, width and height by themselves, with their credible intervals."""
    target = frame.targets[0]
    layout = _layout(f"frame {frame.index + 1}; in brackets the interval's width")
    layout |= {"shapes": [], "annotations": [], "margin": {"l": 54, "r": 14, "t": 48, "b": 34}}
    traces = []
    for index, name in enumerate(COORDINATES):
        places, values = density.marginal(name, num_points=96)
        low, high = density.interval(name, LEVEL)
        number = "" if index == 0 else str(index + 1)
        axes = {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        inside = (places >= low) & (places <= high)
        shaded = (np.r_[low, places[inside], high], np.interp(np.r_[low, places[inside], high], places, values))
        traces += [
            _line(f"{LEVEL:.0%} interval", *shaded, "rgba(230,40,30,0)", fill="rgba(230,40,30,0.22)", **axes),
            _line("density", places, values, PREDICTION, **axes),
        ]
        top = float(values.max())
        traces.append(_mark("output", target.output.box[index], top, INK, "solid", **axes))
        if target.truth is not None:
            traces.append(_mark("truth", target.truth[index], top, _TRUTH_ON_WHITE, "dot", **axes))
        column, row = index % 2, index // 2
        across = [0.0, 0.44] if column == 0 else [0.56, 1.0]
        up = [0.57, 0.93] if row == 0 else [0.0, 0.36]
        layout[f"xaxis{number}"] = {**_axis(""), "domain": across, "anchor": f"y{number}", "nticks": 5}
        layout[f"yaxis{number}"] = {
            **_axis("px⁻¹" if column == 0 else ""),
            "domain": up,
            "anchor": f"x{number}",
            "rangemode": "tozero",
            "nticks": 4,
        }
        text = f"<b>{name}</b>, px  [{high - low:.1f}]"
        layout["annotations"].append(_caption(text, across[0], up[1] + 0.005))
    for number, trace in enumerate(traces):
        trace["showlegend"] = number < len(traces) // 4 and trace["name"] != "density"
    layout["legend"] = {**_legend(), "y": 1.0}
    return traces, layout


def refinement(frame: TrackedFrame, paths: RefinementPaths) -> Figure:
    """Start boxes and the paths of their top-right corners on the frame; beside it, f at every step."""
    target = frame.targets[0]
    starts, ends = paths.boxes[0], paths.boxes[-1]
    traces = [_outlines("starts", starts, _START, 1.0), _outlines("best ends", ends[paths.best], _BEST, 1.5)]
    corners = paths.boxes[..., :2] + paths.boxes[..., 2:] * (1, 0)  # (T + 1, M, 2): top-right, as in the density
    best = set(paths.best.tolist())
    others = [m for m in range(corners.shape[1]) if m not in best]
    traces.append(_paths("corner's paths", corners[:, others], "rgba(86,180,233,0.9)", 1))
    traces.append(_paths("paths of the best", corners[:, paths.best], _BEST, 1.6))
    traces += _boxes(target)
    for trace in traces:
        trace["showlegend"] = trace["name"] not in ("paths of the best", "truth")
    steps = np.arange(len(paths.values))
    for m in (*others, *paths.best.tolist()):
        colour = PREDICTION if m in best else "rgba(86,180,233,0.8)"
        line = _line(f"{paths.value_name} of box {m + 1}", steps, paths.values[:, m], colour, xaxis="x2", yaxis="y2")
        traces.append({**line, "showlegend": False})
    boxes = np.concatenate([paths.boxes.reshape(-1, 4), target.output.box[None]])
    low, high = boxes[:, :2].min(0), (boxes[:, :2] + boxes[:, 2:]).max(0)
    title = f"{len(starts)} boxes climb the {paths.value_name}, frame {frame.index + 1}"
    layout = _on_the_frame(frame, (*low, *high), title, shape=1.0)
    layout["xaxis"]["domain"] = [0.0, 0.52]
    layout["xaxis2"] = {**_axis("step"), "domain": [0.68, 1.0], "anchor": "y2", "nticks": 6}
    layout["yaxis2"] = {**_axis(paths.value_name), "anchor": "x2", "nticks": 6}
    return traces, layout


def score_map(frame: TrackedFrame, scores: ScoreMap) -> Figure:
    """The classifier's response, laid over the search region."""
    x, y, w, h = scores.region
    rows, columns = scores.scores.shape
    across, down = np.linspace(x, x + w, columns), np.linspace(y, y + h, rows)
    highest = float(scores.scores.max())
    at = np.unravel_index(int(scores.scores.argmax()), scores.scores.shape)
    heat = {
        "type": "heatmap",
        "name": "score",
        "x": _plain(across, 2),
        "y": _plain(down, 2),
        "z": _plain(scores.scores, 3),
        "zmin": 0,
        "zmax": round(max(highest, scores.threshold), 3),
        "zsmooth": "best",
        "colorscale": _fading(),
        "colorbar": _colour_bar(),
        "hovertemplate": "%{x:.0f}, %{y:.0f}<br>score %{z:.2f}<extra></extra>",
    }
    peak = _points("highest", [across[at[1]]], [down[at[0]]], "#ffffff", size=7, symbol="x")
    window = (across[0], down[0], across[-1], down[-1])
    title = f"frame {frame.index + 1}; target from {scores.threshold:.2f} on"
    return [heat, {**peak, "showlegend": False}], _on_the_frame(frame, window, title, shape=1.0, margin=0.0)


def optimizer_loss(losses: dict[str, OptimizerLoss]) -> Figure:
    """The classifier's objective before and after each Gauss-Newton step; `losses` by name, in the order of time."""
    traces = []
    for (name, loss), colour in zip(losses.items(), (_START, PREDICTION), strict=False):
        traces.append(_line(name, np.arange(len(loss.losses)), loss.losses, colour, mode="lines+markers"))
    layout = _layout("the classifier's least squares")
    layout |= {"xaxis": {**_axis("Gauss-Newton step"), "dtick": 1 if _steps(losses) < 8 else 10}}
    layout |= {"yaxis": {**_axis("loss"), "type": "log", "exponentformat": "none", "dtick": "D2"}}
    return traces, layout


def over_time(
    frames: np.ndarray, energies: np.ndarray, wide_frames: np.ndarray, widths: np.ndarray, value_name: str
) -> Figure:
    """f of the output, and the width of the credible interval as a share of the box's size, by frame from 1."""
    traces = [
        _line(value_name, frames, energies, _START),
        _line(f"{LEVEL:.0%} interval's width", wide_frames, widths, PREDICTION, mode="lines+markers", yaxis="y2"),
    ]
    traces[1]["marker"] = {"size": 4, "color": PREDICTION}
    layout = _layout("width: mean of the sides, by the box's size")
    layout["margin"] |= {"r": 56}
    layout |= {"xaxis": {**_axis("frame"), "rangemode": "nonnegative"}, "yaxis": _axis(value_name)}
    layout["yaxis2"] = {
        **_axis("width, % of the box"),
        "overlaying": "y",
        "side": "right",
        "rangemode": "tozero",
        "showgrid": False,
        "color": PREDICTION,
    }
    return traces, layout


def message(text: str) -> Figure:
    """Words in the place of a plot."""
    layout = _layout("")
    layout |= {"xaxis": {"visible": False}, "yaxis": {"visible": False}}
    layout["annotations"] = [
        {
            "text": text,
            "xref": "paper",
            "yref": "paper",
            "x": 0.5,
            "y": 0.5,
            "showarrow": False,
            "font": {**_FONT, "size": 13, "color": _MUTED},
        }
    ]
    return [{"type": "scatter", "name": "nothing", "x": [], "y": []}], layout


def relative_width(density: TrackedBoxDensity) -> float:
    """The mean width of the four sides' credible intervals, each by the box's extent along it."""
    widths = np.diff(density.intervals(LEVEL), axis=1)[:, 0]
    w, h = density.box[2:]
    return float(np.mean(widths / (w, h, w, h)))


# -- their parts -------------------------------------------------------------------------------------------------


def _layout(title: str) -> dict[str, Any]:
    return {
        "title": {"text": title, "x": 0.0, "xref": "container", "xanchor": "left", "pad": {"l": 10}, "y": 0.985},
        "titlefont": {**_FONT, "size": 11.5, "color": _MUTED},
        "font": _FONT,
        "margin": {"l": 46, "r": 14, "t": 46, "b": 42},
        "legend": _legend(),
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "hovermode": "closest",
        "modebar": {"remove": ["toImage", "zoom", "pan", "select", "lasso", "zoomIn", "zoomOut", "autoScale"]},
        "showlegend": True,
    }


def _legend() -> dict[str, Any]:
    return {"orientation": "h", "x": 0.0, "xanchor": "left", "y": 1.0, "yanchor": "bottom", "font": {"size": 10}}


def _axis(title: str) -> dict[str, Any]:
    return {
        "title": {"text": title, "standoff": 6},
        "gridcolor": _GRID,
        "zeroline": False,
        "linecolor": _MUTED,
        "ticks": "outside",
        "ticklen": 3,
        "tickcolor": _MUTED,
        "automargin": False,
    }


def _on_the_frame(
    frame: TrackedFrame, window: tuple[float, float, float, float], title: str, shape: float, margin: float = 0.08
) -> dict[str, Any]:
    """A layout whose axes show the frame around `window` (left, top, right, bottom) and a margin.

    Args:
        shape: width by height of what is shown; the window is extended to it.
    """
    left, top, right, bottom = window
    height = max(bottom - top, (right - left) / shape) * (1 + 2 * margin)
    x, y = (left + right) / 2, (top + bottom) / 2
    left, top, right, bottom = x - shape * height / 2, y - height / 2, x + shape * height / 2, y + height / 2
    layout = _layout(title)
    # `autorange` is said so that the page follows the target instead of keeping where it was last.
    shown = {"autorange": False, "constrain": "domain", "showgrid": False, "nticks": 6, "tickangle": 0}
    layout["xaxis"] = {**_axis("x, px"), **shown, "range": _plain([left, right], 2)}
    layout["yaxis"] = {**_axis("y, px"), **shown, "range": _plain([bottom, top], 2), "scaleanchor": "x"}
    layout["legend"] |= {"bgcolor": "#c9ccd1"}  # for the truth, which is white
    layout["images"] = [backdrop(frame.image, (left, top, right, bottom))]
    return layout


def _boxes(target: Target) -> list[dict[str, Any]]:
    traces = []
    if target.truth is not None:
        traces.append(_outlines("truth", target.truth[None], TRUTH, 3.5))
    traces.append(_outlines("output", target.output.box[None], PREDICTION, 2))
    return traces


def _outlines(name: str, boxes: np.ndarray, colour: str, width: float) -> dict[str, Any]:
    """Boxes (N, 4) as one trace of closed lines, with gaps between them."""
    x, y, w, h = boxes.T
    across = np.stack([x, x + w, x + w, x, x, np.full_like(x, np.nan)], axis=1).ravel()
    down = np.stack([y, y, y + h, y + h, y, np.full_like(y, np.nan)], axis=1).ravel()
    return _line(name, across, down, colour, width=width)


def _paths(name: str, points: np.ndarray, colour: str, width: float) -> dict[str, Any]:
    """Points (T, M, 2) as one trace of M lines."""
    gap = np.full((1, *points.shape[1:]), np.nan)
    x, y = np.concatenate([points, gap]).transpose(1, 0, 2).reshape(-1, 2).T
    return {
        **_line(name, x, y, colour, width=width, mode="lines+markers"),
        "marker": {"size": 3, "color": colour},
        "hovertemplate": "%{x:.1f}, %{y:.1f}<extra></extra>",
    }


def _line(
    name: str, x: Any, y: Any, colour: str, width: float = 2, mode: str = "lines", fill: str | None = None, **axes: str
) -> dict[str, Any]:
    trace = {
        "type": "scatter",
        "name": name,
        "x": _plain(x, 3),
        "y": _plain(y, 5),
        "mode": mode,
        "line": {"color": colour, "width": width},
        **axes,
    }
    if fill:
        trace |= {"fill": "tozeroy", "fillcolor": fill, "hoverinfo": "skip"}
    return trace


def _mark(name: str, at: float, top: float, colour: str, dash: str, **axes: str) -> dict[str, Any]:
    """A vertical line."""
    trace = _line(name, [at, at], [0, top], colour, width=2, **axes)
    return {
        **trace,
        "line": {**trace["line"], "dash": dash},
        "hovertemplate": f"{name} %{{x:.1f}} px<extra></extra>",
    }


def _points(name: str, x: list, y: list, colour: str, size: int, symbol: str = "circle") -> dict[str, Any]:
    marker = {"size": size, "color": colour, "symbol": symbol, "line": {"color": "#ffffff", "width": 1.5}}
    where = {"x": _plain(x, 2), "y": _plain(y, 2)}
    return {"type": "scatter", "name": name, **where, "mode": "markers", "marker": marker}


def _caption(text: str, x: float, y: float) -> dict[str, Any]:
    where = {"xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
    return {"text": text, "x": x, "y": y, **where, "showarrow": False, "font": {**_FONT, "size": 11}}


def _colour_bar() -> dict[str, Any]:
    return {"thickness": 9, "len": 1.0, "outlinewidth": 0, "nticks": 5, "xpad": 6}


def _fading() -> list[list[Any]]:
    """From clear to the strongest colour: the frame stays visible where there is little."""
    shares = np.linspace(0.0, 1.0, 11)
    colours = colour_map()[np.round(shares * 255).astype(int)]
    return [
        [round(float(s), 2), _css(tuple(c.tolist()), min(1.0, s / 0.35) * _OPACITY)]
        for s, c in zip(shares, colours, strict=True)
    ]


def _steps(losses: dict[str, OptimizerLoss]) -> int:
    return max((len(loss.losses) for loss in losses.values()), default=0)


def _plain(values: Any, digits: int) -> list:
    """Rounded, as lists; what is not finite becomes None, a gap."""
    values = np.asarray(values, np.float64)
    rounded = np.round(values, digits).astype(object)
    rounded[~np.isfinite(values)] = None
    return rounded.tolist()
