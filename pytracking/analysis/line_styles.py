"""Line style and label of each tracker, the same in every plot of a report."""

from __future__ import annotations

from typing import Any

from pytracking.analysis.score_report import Report

# Okabe and Ito's palette, distinct under every common colour blindness, without its yellow, which is too faint for a
# line on white. Neighbours differ in line style as well, and so does every round through the colours (28 distinct
# lines), so that grey print stays readable.
_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", (0, (1.2, 1.2)), (0, (5, 1.6)), (0, (5, 1.4, 1.2, 1.4)))

_LONGEST = 40  # characters


def line_styles(report: Report) -> dict[str, dict[str, Any]]:
    """By tracker: `color`, `linestyle` and `solid_capstyle` for matplotlib, independent of the report's order."""
    styles = {}
    for i, tracker in enumerate(report.sorted("auc").trackers):
        turn, colour = divmod(i, len(_COLOURS))
        styles[tracker.name] = {
            "color": _COLOURS[colour],
            "linestyle": _STYLES[(turn + 2 * (colour % 2)) % len(_STYLES)],
            "solid_capstyle": "round",
        }
    return styles


def label_text(text: str) -> str:
    """Make a text that matplotlib shows as it is: without formulas, and also with a leading underscore.

    A long text loses its middle.
    """
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 13]}…{text[-12:]}"
    text = text.replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{text}" if text.startswith("_") else text


def shown_text(label: str) -> str:
    """What :func:`label_text` makes matplotlib show."""
    return label.replace(r"\$", "$").replace("\N{ZERO WIDTH SPACE}", "")
