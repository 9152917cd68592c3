"""Scores trackers' boxes, compares trackers, and shows where they fail. The command is `ebm-analyse`."""

from pytracking.analysis.box_files import Annotation, read_annotations, read_boxes, read_times
from pytracking.analysis.metrics import Curves, SequenceScore, mean_curves, score_sequence
from pytracking.analysis.score_report import Report, TrackerScore
from pytracking.analysis.scoring import score_results
from pytracking.analysis.tracker_results import TrackerResults, external_results, find_results

__all__ = [
    "Annotation",
    "Curves",
    "Report",
    "SequenceScore",
    "TrackerResults",
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
