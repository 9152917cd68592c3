"""A plot as TikZ: a .tex file that a paper includes by \\input, in the paper's own fonts.

The document needs \\usepackage{pgfplots} and \\pgfplotsset{compat=newest}.
"""

from __future__ import annotations

import re
from pathlib import Path

from matplotlib.figure import Figure

from pytracking.analysis.line_styles import shown_text

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_LOOK = [
    r"legend style={font=\footnotesize}",
    r"label style={font=\small}",
    r"tick label style={font=\footnotesize}",
    r"title style={font=\small}",
    "reverse legend",  # the best is drawn last, on top
    "clip=false",
]


def tex_escape(text: str) -> str:
    """Any text as LaTeX that prints it, on one line."""
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split()))


def tikz(figure: Figure, path: Path) -> str:
    """The one plot of a figure as a tikzpicture, as wide as the line it stands in; `path` is where it will be written.

    The figure's texts and legend are changed on the way: draw it anew for anything else.
    """
    from matplot2tikz import get_tikz_code  # imports pyplot, which nothing else here needs

    (axes,) = figure.axes
    texts = []

    def placeholder(text: str) -> str:
        # matplot2tikz escapes some characters in some texts, and none in others.
        texts.append(shown_text(text))
        return f"tikztext{len(texts) - 1:04d}x"

    equal = axes.get_aspect() != "auto"
    handles, labels = axes.get_legend_handles_labels()
    # Below the axes, since it is not known how much room the paper's fonts take.
    below = dict(loc="upper center", bbox_to_anchor=(0.5, -0.02 if equal else -0.25))
    axes.legend(handles, [placeholder(label) for label in labels], **below)
    axes.set_title(placeholder(axes.get_title()))
    axes.set(xlabel=placeholder(axes.get_xlabel()), ylabel=placeholder(axes.get_ylabel()))
    for text in axes.texts:
        text.set_text(placeholder(text.get_text()))
    code = get_tikz_code(
        figure,
        filepath=path,
        axis_width=r"0.95\linewidth",  # titles may stand out at its sides
        axis_height=r"0.95\linewidth" if equal else r"0.72\linewidth",
        textsize=4.0,  # it halves the size of texts
        extra_axis_parameters=[*_LOOK, *(["axis equal image"] if equal else [])],
        float_format=".4g",
    )
    return re.sub(r"tikztext(\d{4})x", lambda match: tex_escape(texts[int(match[1])]), code)
