"""Online trackers: run them on benchmarks or on your own frames. Built on `ltr` and `ebm_common`."""

from pytracking.factory import Tracker
from pytracking.tracker.base import BaseTracker, TrackerOutput

__all__ = ["BaseTracker", "Tracker", "TrackerOutput"]
