"""A plot as TikZ: a .tex file for a paper's \\input, in the paper's own fonts.

The document needs \\usepackage{pgfplots} and \\pgfplotsset{compat=newest}.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ltr.common.latex import tex_escape
from pytracking.analysis.line_styles import shown_text

_LOOK = [
    r"legend style={font=\footnotesize}",
    r"label style={font=\small}",
    r"tick label style={font=\footnotesize}",
    r"title style={font=\small}",
    "reverse legend",  # the best is drawn last, on top
    "clip=false",
]


def tikz(figure: Figure, path: Path) -> str:
    """The single plot of a figure as a tikzpicture, as wide as a line of the document.

    This changes the figure's texts and legend: do not use the figure afterwards.

    Args:
        figure: with one pair of axes.
        path: of the file that the code will be written to.
    """
    from matplot2tikz import get_tikz_code  # imports pyplot, which nothing else here needs

    (axes,) = figure.axes
    texts: list[str] = []

    def placeholder(text: str) -> str:
        # matplot2tikz escapes some characters in some texts, and none in others.
        texts.append(shown_text(text))
        return f"tikztext{len(texts) - 1:04d}x"

    equal = axes.get_aspect() != "auto"
    handles, labels = axes.get_legend_handles_labels()
    # Below the axes, since the size of the paper's fonts is unknown.
    below: dict[str, Any] = dict(loc="upper center", bbox_to_anchor=(0.5, -0.02 if equal else -0.25))
    axes.legend(handles, [placeholder(label) for label in labels], **below)
    axes.set_title(placeholder(axes.get_title()))
    axes.set(xlabel=placeholder(axes.get_xlabel()), ylabel=placeholder(axes.get_ylabel()))
    for text in axes.texts:
        text.set_text(placeholder(text.get_text()))
    code = get_tikz_code(
        figure,
        filepath=path,
        axis_width=r"0.95\linewidth",  # titles may extend beyond it
        axis_height=r"0.95\linewidth" if equal else r"0.72\linewidth",
        textsize=4.0,  # it halves the size of texts
        extra_axis_parameters=[*_LOOK, *(["axis equal image"] if equal else [])],
        float_format=".4g",
    )
    return re.sub(r"tikztext(\d{4})x", lambda match: tex_escape(texts[int(match[1])]), code)
