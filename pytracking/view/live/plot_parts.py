"""Parts of plotly's plots as plain data: layouts, axes, traces, and images behind them.

Axes on a frame are in its pixels: the first pixel covers [0, 1], and y points downwards.
"""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np

from pytracking.utils.density_overlay import colour_map
from pytracking.utils.drawing import Colour, enlarge

Trace = dict[str, Any]
Layout = dict[str, Any]

OUTSIDE: Colour = (58, 61, 66)
"""Colour of what lies outside a frame."""

MUTED = "#5b6068"
FONT = {"family": "DejaVu Sans, Verdana, sans-serif", "size": 11, "color": "#16181c"}
_GRID = "#e4e6ea"
_OPACITY = 0.65  # of an overlay's strongest colours
_PART_SIZE = 320  # pixels of the longer side of a background image
_JPEG_QUALITY = 85


def plain(values: Any, digits: int) -> list:
    """Rounded numbers as lists that JSON can hold; what is not finite becomes None, a gap."""
    values = np.asarray(values, np.float64)
    rounded = np.round(values, digits).astype(object)
    rounded[~np.isfinite(values)] = None
    return rounded.tolist()


# -- colours -----------------------------------------------------------------------------------------------------


def css(colour: Colour, alpha: float = 1.0) -> str:
    """A colour as CSS writes it."""
    return f"rgba({colour[0]},{colour[1]},{colour[2]},{alpha:.2f})"


def fading_colours() -> list[list[Any]]:
    """A colour scale from transparent to the strongest colour: the frame stays visible where values are low."""
    shares = np.linspace(0.0, 1.0, 11)
    colours = colour_map()[np.round(shares * 255).astype(int)].tolist()
    return [
        [round(float(s), 2), css((red, green, blue), min(1.0, s / 0.35) * _OPACITY)]
        for s, (red, green, blue) in zip(shares, colours, strict=True)
    ]


# -- layouts -----------------------------------------------------------------------------------------------------


def layout(title: str) -> Layout:
    """A plot's layout, without axes."""
    return {
        "title": {"text": title, "x": 0.0, "xref": "container", "xanchor": "left", "pad": {"l": 10}, "y": 0.985},
        "titlefont": {**FONT, "size": 11.5, "color": MUTED},
        "font": FONT,
        "margin": {"l": 46, "r": 14, "t": 46, "b": 42},
        "legend": legend(),
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "hovermode": "closest",
        "modebar": {"remove": ["toImage", "zoom", "pan", "select", "lasso", "zoomIn", "zoomOut", "autoScale"]},
        "showlegend": True,
    }


def frame_layout(
    image: np.ndarray,
    window: tuple[float, float, float, float],
    title: str,
    aspect: float,
    margin: float = 0.08,
) -> Layout:
    """A layout whose axes show the frame around a window and a margin.

    Args:
        image: the frame, uint8 (H, W, 3) RGB.
        window: left, top, right, bottom in pixels.
        title: of the plot.
        aspect: width by height of what is shown; the window is extended to it.
        margin: on each side, relative to the window.
    """
    left, top, right, bottom = window
    height = max(bottom - top, (right - left) / aspect) * (1 + 2 * margin)
    x, y = (left + right) / 2, (top + bottom) / 2
    left, top, right, bottom = x - aspect * height / 2, y - height / 2, x + aspect * height / 2, y + height / 2
    shown = layout(title)
    # `autorange` is set so that the page follows the target instead of staying where it was.
    common = {"autorange": False, "constrain": "domain", "showgrid": False, "nticks": 6, "tickangle": 0}
    shown["xaxis"] = {**axis("x, px"), **common, "range": plain([left, right], 2)}
    shown["yaxis"] = {**axis("y, px"), **common, "range": plain([bottom, top], 2), "scaleanchor": "x"}
    shown["legend"] |= {"bgcolor": "#c9ccd1"}  # for the truth, which is white
    shown["images"] = [background_image(image, (left, top, right, bottom))]
    return shown


def legend() -> dict[str, Any]:
    """A legend in one row above the plot."""
    return {"orientation": "h", "x": 0.0, "xanchor": "left", "y": 1.0, "yanchor": "bottom", "font": {"size": 10}}


def axis(title: str) -> dict[str, Any]:
    """An axis with ticks and a grid."""
    return {
        "title": {"text": title, "standoff": 6},
        "gridcolor": _GRID,
        "zeroline": False,
        "linecolor": MUTED,
        "ticks": "outside",
        "ticklen": 3,
        "tickcolor": MUTED,
        "automargin": False,
    }


def caption(text: str, x: float, y: float) -> dict[str, Any]:
    """A text at (x, y), as shares of the plot's width and height."""
    position = {"xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
    return {"text": text, "x": x, "y": y, **position, "showarrow": False, "font": {**FONT, "size": 11}}


def colour_bar() -> dict[str, Any]:
    """A heatmap's narrow colour bar."""
    return {"thickness": 9, "len": 1.0, "outlinewidth": 0, "nticks": 5, "xpad": 6}


# -- traces ------------------------------------------------------------------------------------------------------


def line(
    name: str, x: Any, y: Any, colour: str, width: float = 2, mode: str = "lines", fill: str | None = None, **axes: str
) -> Trace:
    """A line, filled down to zero if there is a `fill` colour; `axes` may name its xaxis and yaxis."""
    trace = {
        "type": "scatter",
        "name": name,
        "x": plain(x, 3),
        "y": plain(y, 5),
        "mode": mode,
        "line": {"color": colour, "width": width},
        **axes,
    }
    if fill:
        trace |= {"fill": "tozeroy", "fillcolor": fill, "hoverinfo": "skip"}
    return trace


def vertical_line(name: str, x: float, top: float, colour: str, dash: str, **axes: str) -> Trace:
    """A line from 0 up to `top` at x, in pixels."""
    trace = line(name, [x, x], [0, top], colour, width=2, **axes)
    return {
        **trace,
        "line": {**trace["line"], "dash": dash},
        "hovertemplate": f"{name} %{{x:.1f}} px<extra></extra>",
    }


def box_outlines(name: str, boxes: np.ndarray, colour: str, width: float) -> Trace:
    """Boxes (N, 4) as one trace of closed lines, with gaps between them."""
    x, y, w, h = boxes.T
    across = np.stack([x, x + w, x + w, x, x, np.full_like(x, np.nan)], axis=1).ravel()
    down = np.stack([y, y, y + h, y + h, y, np.full_like(y, np.nan)], axis=1).ravel()
    return line(name, across, down, colour, width=width)


def paths(name: str, points: np.ndarray, colour: str, width: float) -> Trace:
    """Points (T, M, 2) as one trace of M lines."""
    gap = np.full((1, *points.shape[1:]), np.nan)
    x, y = np.concatenate([points, gap]).transpose(1, 0, 2).reshape(-1, 2).T
    return {
        **line(name, x, y, colour, width=width, mode="lines+markers"),
        "marker": {"size": 3, "color": colour},
        "hovertemplate": "%{x:.1f}, %{y:.1f}<extra></extra>",
    }


def point(name: str, x: float, y: float, colour: str, size: int, symbol: str = "circle") -> Trace:
    """One marker."""
    marker = {"size": size, "color": colour, "symbol": symbol, "line": {"color": "#ffffff", "width": 1.5}}
    position = {"x": plain([x], 2), "y": plain([y], 2)}
    return {"type": "scatter", "name": name, **position, "mode": "markers", "marker": marker}


# -- images ------------------------------------------------------------------------------------------------------


def background_image(image: np.ndarray, window: tuple[float, float, float, float]) -> dict[str, Any]:
    """The part of a frame within a window (left, top, right, bottom; pixels) as an image of plotly's layout.

    What lies outside the frame is dark.
    """
    left, top = (int(np.floor(v)) for v in window[:2])
    right, bottom = (int(np.ceil(v)) for v in window[2:])
    part = np.full((bottom - top, right - left, 3), OUTSIDE, np.uint8)
    height, width = image.shape[:2]
    x, y = slice(max(left, 0), max(min(right, width), 0)), slice(max(top, 0), max(min(bottom, height), 0))
    inside = image[y, x]
    if inside.size:
        part[y.start - top : y.stop - top, x.start - left : x.stop - left] = inside
    return {
        "source": jpeg_uri(enlarge(part, _PART_SIZE / max(part.shape[:2]))),
        "xref": "x",
        "yref": "y",
        "x": left,
        "y": top,
        "sizex": right - left,
        "sizey": bottom - top,
        "sizing": "stretch",
        "layer": "below",
    }


def jpeg_uri(image: np.ndarray) -> str:
    """uint8 (H, W, 3) RGB as 'data:image/jpeg;base64,...'."""
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
