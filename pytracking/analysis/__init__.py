"""Scores of trackers: curves and numbers (`metrics`), result files (`results`), reports (`scoring`), `tables`,
`plots` and a page (`html_report`); and where trackers fail (`failures`).
"""

from pytracking.analysis.metrics import Curves, SequenceScore, mean_curves, score_sequence
from pytracking.analysis.results import (
    Annotation,
    TrackerResults,
    external_results,
    find_results,
    read_annotations,
    read_boxes,
    read_times,
)
from pytracking.analysis.scoring import Report, TrackerScore, score_results

__all__ = [
    "Annotation",
    "Curves",
    "Report",
    "TrackerResults",
    "SequenceScore",
    "TrackerScore",
    "external_results",
    "find_results",
    "mean_curves",
    "read_annotations",
    "read_boxes",
    "read_times",
    "score_results",
    "score_sequence",
]
