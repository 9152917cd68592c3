"""Running a tracker over benchmarks and videos."""

from pytracking.evaluation.datasets import DatasetError, SequenceList, TrackingSequence, get_dataset, get_datasets
from pytracking.evaluation.report import RunReport
from pytracking.evaluation.running import TrackerSpec, run_dataset
from pytracking.evaluation.sequence_run import run_sequence

__all__ = [
    "DatasetError",
    "RunReport",
    "SequenceList",
    "TrackerSpec",
    "TrackingSequence",
    "get_dataset",
    "get_datasets",
    "run_dataset",
    "run_sequence",
]
