"""The plots of a report, for a paper's column: success, precision, normalised precision, and the AUC by attribute if
the sequences have attributes; as PNG, PDF and TikZ, and as SVG for a page.

Drawing leaves matplotlib's settings as they were, so that it does not affect a host program's figures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from ltr.common.figures import save_figure
from ltr.common.files import write_text, writing
from pytracking.analysis.line_styles import label_text, line_styles
from pytracking.analysis.metrics import CENTER_THRESHOLDS, NORM_CENTER_THRESHOLDS, OVERLAP_THRESHOLDS
from pytracking.analysis.radar import draw_radar, has_radar
from pytracking.analysis.score_report import Report
from pytracking.analysis.tables import ANOTHER_FOLDER, make_folder
from pytracking.analysis.tikz import tikz

_COLUMN = (3.5, 2.7)  # inches
_PAGE = (3.0, 2.5)  # a page scales it up: letters are larger than on a figure of _COLUMN
_SETTINGS: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.linewidth": 0.6,
}
_LEGEND_SIZE = 7
_LEGEND: dict[str, Any] = {
    "fontsize": _LEGEND_SIZE,
    "handlelength": 2.4,
    "labelspacing": 0.3,
    "borderpad": 0.4,
    "framealpha": 0.9,
    "edgecolor": "none",
}


@dataclass(frozen=True)
class Plot:
    """What a plot of curves shows.

    Attributes:
        curve: an attribute of :class:`Curves`.
        score: the number in the legend, a key of `Curves.scalars()`.
        title: above the axes.
        x_label: below them.
        y_label: beside them.
        thresholds: (N,), x of the curve's values.
        mark: threshold at which the legend's number is read, if there is one.
        legend_at: where the legend lies if it covers no curve.
    """

    curve: str
    score: str
    title: str
    x_label: str
    y_label: str
    thresholds: np.ndarray
    mark: float | None
    legend_at: Literal["lower left", "lower right"]


PLOTS = (
    Plot(
        "success", "auc", "Success", "Overlap threshold", "Overlap success (%)", OVERLAP_THRESHOLDS, None, "lower left"
    ),
    Plot(
        "precision",
        "precision",
        "Precision",
        "Centre error threshold (pixels)",
        "Distance precision (%)",
        CENTER_THRESHOLDS,
        20.0,
        "lower right",
    ),
    Plot(
        "norm_precision",
        "norm_precision",
        "Normalised precision",
        "Normalised centre error threshold",
        "Distance precision (%)",
        NORM_CENTER_THRESHOLDS,
        0.20,
        "lower right",
    ),
)


def _figure(size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw(report: Report, plot: Plot, for_page: bool = False) -> Figure:
    """Draw one plot of a column's width. The legend lists the best tracker first, with scores in brackets.

    Args:
        report: its trackers are drawn.
        plot: one of PLOTS.
        for_page: draw for an HTML page: the legend always lies below the axes, so that plots side by side look alike,
            and the title does not repeat the page's title. Otherwise the legend lies inside the axes if it covers no
            curve there.
    """
    order = report.sorted(plot.score).trackers
    styles = line_styles(report)
    figure = _figure(_PAGE if for_page else _COLUMN)
    axes = figure.add_subplot()
    for rank, tracker in enumerate(order):
        axes.plot(
            plot.thresholds,
            100 * getattr(tracker.overall, plot.curve),
            **styles[tracker.name],
            linewidth=1.5 if rank == 0 else 1.2,
            zorder=3 + (len(order) - rank) / len(order),  # the best on top
            label=f"{label_text(tracker.name)} [{100 * tracker.overall.scalars()[plot.score]:.1f}]",
            clip_on=False,  # a curve along 100% keeps its full width
        )
    if plot.mark is not None:
        axes.axvline(plot.mark, color="0.55", linewidth=0.7, linestyle=(0, (2, 2)), zorder=2)
    axes.set(xlim=(0, plot.thresholds[-1]), ylim=(0, 100), xlabel=plot.x_label, ylabel=plot.y_label)
    axes.set_title(plot.title if for_page else f"{plot.title}, {_scope(report)}", fontsize=8.5)
    axes.set_yticks(range(0, 101, 20))
    axes.grid(color="0.88", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=2.5, width=0.6)
    legend = axes.legend(loc=plot.legend_at, **_LEGEND)
    legend.set_in_layout(False)  # it must not squeeze the axes in which it is tried
    figure.draw_without_rendering()
    if for_page or _covers_a_curve(legend, axes):
        _move_below(legend, figure, axes)
    return figure


def _covers_a_curve(legend: Legend, axes: Axes) -> bool:
    x = np.linspace(*axes.get_xlim(), 200)
    points = [
        axes.transData.transform(np.column_stack([x, np.interp(x, *np.asarray(line.get_data(), np.float64))]))
        for line in axes.get_lines()
        if not str(line.get_label()).startswith("_")  # otherwise it is no tracker's
    ]
    return legend.get_window_extent().count_contains(np.concatenate(points)) > 0


def _move_below(legend: Legend, figure: Figure, axes: Axes) -> None:
    """Put the legend below the axes, in two columns if they fit."""
    width = legend.get_window_extent().width
    legend.remove()
    handles, labels = axes.get_legend_handles_labels()
    columns = 2 if len(labels) > 1 and 2 * width < figure.bbox.width else 1
    rows = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + (rows + 1) * 1.35 * _LEGEND_SIZE / 72)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **_LEGEND)


def _scope(report: Report) -> str:
    return f"{label_text(report.dataset)} ({len(report.sequences)} sequences)"


def _radar(report: Report, for_page: bool) -> Figure:
    figure = _figure(_PAGE if for_page else _COLUMN)
    axes = draw_radar(report, figure)
    axes.set_title("AUC (%) by attribute" + ("" if for_page else f", {_scope(report)}"), fontsize=8.5)
    legend = axes.legend(**_LEGEND)
    figure.draw_without_rendering()
    _move_below(legend, figure, axes)
    return figure


def draw_all(report: Report, for_page: bool = False) -> dict[str, Figure]:
    """Draw every plot of a report: success, precision, norm_precision, and radar if the sequences have attributes.

    Args:
        report: its trackers are drawn.
        for_page: see :func:`draw`.

    Returns:
        The figures by name.
    """
    with matplotlib.rc_context(_SETTINGS):
        figures = {plot.curve: draw(report, plot, for_page) for plot in PLOTS}
        if has_radar(report):
            figures["radar"] = _radar(report, for_page)
    return figures


def write_plots(report: Report, folder: Path) -> list[Path]:
    """Write every plot as .png (300 dpi), .pdf (with fonts embedded) and .tex.

    Returns:
        Their paths.

    Raises:
        UserError: if one cannot be written.
    """
    make_folder(folder)
    paths = []
    with matplotlib.rc_context(_SETTINGS):
        for name, figure in draw_all(report).items():
            for suffix in (".png", ".pdf", ".tex"):  # .tex last: it changes the figure
                paths.append(folder / f"{name}{suffix}")
                with writing(paths[-1], ANOTHER_FOLDER):
                    _save(figure, paths[-1])
    return paths


def _save(figure: Figure, path: Path) -> None:
    if path.suffix == ".tex":
        write_text(path, tikz(figure, path))
    elif path.suffix == ".pdf":
        save_figure(figure, path, metadata={"CreationDate": None})  # the same results give the same bytes
    else:
        save_figure(figure, path, dpi=300)


def svg(figure: Figure, prefix: str) -> str:
    """A figure as an <svg> element of a page. It refers to nothing outside, and its ids begin with `prefix`, which must
    be unique on the page."""
    out = StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": prefix}):
        figure.savefig(out, format="svg", metadata=nothing)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*| xmlns(:xlink)?=\"[^\"]*\"", "", text, flags=re.DOTALL)
    return re.sub(r'( id="|href="#|url\(#)', rf"\1{prefix}-", text)
