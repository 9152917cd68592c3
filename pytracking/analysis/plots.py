"""Success, precision and normalised precision plots of a report, for a paper's column: PNG and PDF.

matplotlib is used without pyplot and without lasting changes of its settings, so that drawing here leaves a host
program's figures alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ebm_common.errors import UserError
from pytracking.analysis.metrics import CENTER_THRESHOLDS, NORM_CENTER_THRESHOLDS, OVERLAP_THRESHOLDS
from pytracking.analysis.scoring import Report
from pytracking.analysis.tables import make_folder

# Okabe and Ito's palette, distinct under every common colour blindness, less its yellow, which is too faint for a line
# on white. Neighbours differ in line style as well, and so does every round through the colours (28 distinct lines), so
# that grey print stays readable.
_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", (0, (1.2, 1.2)), (0, (5, 1.6)), (0, (5, 1.4, 1.2, 1.4)))
_WIDTH, _HEIGHT = 3.5, 2.7  # inches: a column
_SETTINGS = {
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.linewidth": 0.6,
}


@dataclass(frozen=True)
class _Plot:
    curve: str  # attribute of Curves
    score: str  # the number in the legend, a key of Curves.scalars()
    title: str
    x_label: str
    y_label: str
    thresholds: np.ndarray
    mark: float | None  # threshold at which the legend's number is read
    legend_at: str


PLOTS = (
    _Plot(
        "success", "auc", "Success", "Overlap threshold", "Overlap success (%)", OVERLAP_THRESHOLDS, None, "lower left"
    ),
    _Plot(
        "precision",
        "precision",
        "Precision",
        "Centre error threshold (pixels)",
        "Distance precision (%)",
        CENTER_THRESHOLDS,
        20.0,
        "lower right",
    ),
    _Plot(
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


def draw(report: Report, plot: _Plot) -> Figure:
    """One plot as a figure of a column's width. The legend has the best first, its score in brackets.

    The legend lies inside the axes where it covers no curve, else below them.
    """
    order = report.sorted(plot.score).trackers
    # A tracker keeps its line in all three plots, whatever its rank there.
    lines = {tracker.name: i for i, tracker in enumerate(report.sorted("auc").trackers)}
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for rank, tracker in enumerate(order):
        turn, colour = divmod(lines[tracker.name], len(_COLOURS))
        axes.plot(
            plot.thresholds,
            100 * getattr(tracker.overall, plot.curve),
            color=_COLOURS[colour],
            linestyle=_STYLES[(turn + 2 * (colour % 2)) % len(_STYLES)],
            linewidth=1.5 if rank == 0 else 1.2,
            zorder=3 + (len(order) - rank) / len(order),  # the best on top
            label=f"{tracker.name} [{100 * tracker.scalars()[plot.score]:.1f}]",
            solid_capstyle="round",
            clip_on=False,  # a curve along 100% keeps its full width
        )
    if plot.mark is not None:
        axes.axvline(plot.mark, color="0.55", linewidth=0.7, linestyle=(0, (2, 2)), zorder=2)
    axes.set(xlim=(0, plot.thresholds[-1]), ylim=(0, 100), xlabel=plot.x_label, ylabel=plot.y_label)
    axes.set_title(f"{plot.title}, {report.dataset} ({len(report.sequences)} sequences)", fontsize=8.5)
    axes.set_yticks(range(0, 101, 20))
    axes.grid(color="0.88", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=2.5, width=0.6)
    _add_legend(figure, axes, plot)
    return figure


def _add_legend(figure: Figure, axes: Axes, plot: _Plot) -> None:
    look = dict(fontsize=7, handlelength=2.4, labelspacing=0.3, borderpad=0.4, framealpha=0.9, edgecolor="none")
    legend = axes.legend(loc=plot.legend_at, **look)
    legend.set_in_layout(False)  # it must not squeeze the axes it is tried in
    figure.draw_without_rendering()
    box = legend.get_window_extent()
    points = [
        axes.transData.transform(np.column_stack([x, np.interp(x, *line.get_data())]))
        for line in axes.get_lines()
        if len(line.get_xdata()) == len(plot.thresholds)
        for x in [np.linspace(0, plot.thresholds[-1], 200)]
    ]
    if not box.count_contains(np.concatenate(points)):
        return
    legend.remove()
    handles, labels = axes.get_legend_handles_labels()
    columns = 2 if len(labels) > 1 and 2 * box.width < figure.bbox.width else 1
    rows = -(-len(labels) // columns)
    figure.set_figheight(_HEIGHT + (rows + 1) * 1.35 * look["fontsize"] / 72)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **look)


def write_plots(report: Report, folder: Path) -> list[Path]:
    """Write success, precision and norm_precision as .png (300 dpi) and .pdf (fonts embedded); returns their paths."""
    make_folder(folder)
    paths = []
    with matplotlib.rc_context(_SETTINGS):
        for plot in PLOTS:
            figure = draw(report, plot)
            # No creation date: the same results give the same bytes.
            for suffix, options in ((".png", {"dpi": 300}), (".pdf", {"metadata": {"CreationDate": None}})):
                paths.append(folder / f"{plot.curve}{suffix}")
                try:
                    figure.savefig(paths[-1], **options)
                except OSError as error:
                    raise UserError(
                        f"{paths[-1]} cannot be written: {error.strerror}; name another folder by --out"
                    ) from error
    return paths
