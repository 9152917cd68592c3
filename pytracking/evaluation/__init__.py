"""Running a tracker over benchmarks and videos."""

from pytracking.evaluation.datasets import DatasetError, SequenceList, TrackingSequence, get_datasets
from pytracking.evaluation.experiment import Experiment, runs
from pytracking.evaluation.pytracking_names import Tracker, get_dataset, trackerlist
from pytracking.evaluation.report import RunReport
from pytracking.evaluation.running import TrackerSpec, run_dataset
from pytracking.evaluation.sequence_run import run_sequence

__all__ = [
    "DatasetError",
    "Experiment",
    "RunReport",
    "SequenceList",
    "Tracker",
    "TrackerSpec",
    "TrackingSequence",
    "get_dataset",
    "get_datasets",
    "run_dataset",
    "run_sequence",
    "runs",
    "trackerlist",
]
