"""Benchmarks for tracking, read as they lie on disk. `SequenceList.summary` says how much of one is there.

To add a benchmark `mine`:

1. Write `mine.py` with `read_mine(root)`, which returns `read_all(title, folder, readers)`: `readers` takes the name of
   each sequence to a function that returns its `TrackingSequence`, or raises DatasetError. `nfs.py` is an example;
   `files.py` reads boxes and folders of images.
2. Add the line `"mine": read_mine` to `BENCHMARKS` in `registry.py`. (A further line in `PATH_NAMES` of
   `ltr/common/environment.py` lets users set the folder by `EBM_MINE`.)
"""

from ltr.common.errors import DatasetError
from pytracking.evaluation.datasets.base import SequenceList, TrackingSequence, read_all
from pytracking.evaluation.datasets.files import read_boxes
from pytracking.evaluation.datasets.folder import read_folder
from pytracking.evaluation.datasets.otb_attributes import ATTRIBUTE_NAMES, otb_attributes
from pytracking.evaluation.datasets.registry import ALIASES, BENCHMARKS, benchmark_name, get_dataset

__all__ = [
    "ALIASES",
    "ATTRIBUTE_NAMES",
    "BENCHMARKS",
    "DatasetError",
    "SequenceList",
    "TrackingSequence",
    "benchmark_name",
    "get_dataset",
    "otb_attributes",
    "read_all",
    "read_boxes",
    "read_folder",
]
