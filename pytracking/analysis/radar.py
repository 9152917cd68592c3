"""The radar plot of a report: each tracker's AUC by attribute, a spoke for every attribute.

It uses plain axes, not polar ones, so that it can be exported as TikZ like the other plots.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pytracking.analysis.line_styles import label_text, line_styles
from pytracking.analysis.score_report import Report

MIN_SPOKES = 3  # fewer span no area


def has_radar(report: Report) -> bool:
    """Whether the scored sequences carry enough attributes for a radar."""
    return len(report.attributes) >= MIN_SPOKES


def spokes(count: int) -> np.ndarray:
    """Unit vectors (count, 2) of the attributes: the first up, the others clockwise."""
    angles = np.pi / 2 - 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def draw_radar(report: Report, figure: Figure) -> Axes:
    """Draw the radar on a figure and return its axes.

    Rings mark the AUC in percent, from 0 in the middle; beside each attribute stands its number of scored sequences.
    """
    by_tracker = {tracker.name: report.by_attribute(tracker) for tracker in report.sorted("auc").trackers}
    aucs = {name: [100 * curves.auc for curves in by_name.values()] for name, by_name in by_tracker.items()}
    rim = min(100, max(20, 20 * math.ceil(max(map(max, aucs.values())) / 20)))
    directions = spokes(len(report.attributes))
    axes = figure.add_subplot()
    for ring in range(20, rim + 1, 20):
        axes.plot(*_closed(ring * directions).T, color="0.85", linewidth=0.5, zorder=1)
        axes.text(0.7, ring - 0.6, str(ring), fontsize=6, color="0.45", va="top", zorder=2)
    for direction in directions:
        axes.plot(*np.stack([0 * direction, rim * direction]).T, color="0.85", linewidth=0.5, zorder=1)
    for (attribute, names), (x, y) in zip(report.attributes.items(), directions, strict=True):
        side = "center" if abs(x) < 0.2 else "left" if x > 0 else "right"
        axes.text(
            1.07 * rim * x,
            1.07 * rim * y,
            f"{label_text(attribute)} ({len(names)})",
            fontsize=7.5,
            ha=side,
            va="center",
        )
    styles = line_styles(report)
    for rank, (name, values) in enumerate(aucs.items()):
        axes.plot(
            *_closed(np.array(values)[:, None] * directions).T,
            **styles[name],
            linewidth=1.5 if rank == 0 else 1.2,
            zorder=3 + (len(aucs) - rank) / len(aucs),
            label=label_text(name),
        )
    reach = 1.12 * rim
    axes.set(xlim=(-1.25 * reach, 1.25 * reach), ylim=(-reach, reach), aspect="equal")
    axes.set_axis_off()
    return axes


def _closed(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, points[:1]])
