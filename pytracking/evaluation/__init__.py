"""Running a tracker over benchmarks and videos."""

from pytracking.evaluation.datasets import DatasetError, SequenceList, TrackingSequence, get_dataset
from pytracking.evaluation.experiment import Experiment, runs
from pytracking.evaluation.pytracking_names import Tracker, trackerlist
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
    "run_dataset",
    "run_sequence",
    "runs",
    "trackerlist",
]
