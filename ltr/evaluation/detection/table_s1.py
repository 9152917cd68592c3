"""Table S1: COCO's average precision of the EBM by the widths of its proposal."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence

from ltr.evaluation.detection.detector_evaluation import DetectorEvaluation
from ltr.evaluation.tables import Mean, Table

Sigmas = tuple[float, ...]
"""A row: the standard deviations of the proposal's components, relative to the label's size."""
TABLE_S1: dict[Sigmas, float] = {
    (0.01875,): 38.07,
    (0.0375,): 38.47,
    (0.075,): 37.52,
    (0.15,): 35.05,
    (0.025, 0.1): 38.97,
    (0.0375, 0.15): 39.05,
    (0.04375, 0.175): 39.07,
    (0.05, 0.2): 39.02,
    (0.0125, 0.025): 38.19,
    (0.025, 0.05): 38.65,
    (0.075, 0.15): 37.14,
    (0.0125, 0.025, 0.05): 38.61,
    (0.025, 0.05, 0.1): 38.95,
    (0.0375, 0.075, 0.15): 39.11,
    (0.04375, 0.0875, 0.175): 39.00,
    (0.05, 0.1, 0.2): 38.76,
    (0.0625, 0.125, 0.25): 37.96,
    (0.075, 0.15, 0.3): 37.42,
}
"""The paper's AP on COCO's validation images."""


def table_s1(found: Mapping[Sigmas, Sequence[DetectorEvaluation]], images: str) -> Table:
    """AP of the EBM for each row, beside the paper's AP if the paper has that row.

    Args:
        found: the results of runs with different seeds, by row.
        images: on which they were evaluated, for the title.
    """
    title = f"Proposal distributions (Table S1): AP in percent of the EBM on {images}, the paper's on COCO"
    table = Table(title, ["AP", "AP75", "runs", "paper AP"])
    for sigmas, results in found.items():
        cells = [Mean.of([100 * getattr(r.metrics, key) for r in results]) for key in ("ap", "ap75")]
        paper = Mean(TABLE_S1[sigmas]) if sigmas in TABLE_S1 else None
        table.rows.append((row_name(sigmas), [*cells, str(len(results)), paper]))
    return table


def row_name(sigmas: Sigmas) -> str:
    """The name of a row in tables."""
    return f"L = {len(sigmas)}  {{{', '.join(map(str, sigmas))}}}"


def joined(sigmas: Sigmas) -> str:
    """The name of a row in the names of runs."""
    return "_".join(f"{sigma:g}" for sigma in sigmas)


def sigmas_option(text: str) -> Sigmas:
    """A row from its standard deviations, '0.0375,0.15', as the type of an option."""
    try:
        sigmas = tuple(map(float, text.split(",")))
    except ValueError:
        sigmas = (math.nan,)
    if not all(0 < sigma < math.inf for sigma in sigmas):
        raise argparse.ArgumentTypeError(f"{text!r} is no row: give positive numbers with commas between them")
    return sigmas
