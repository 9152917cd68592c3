"""Online trackers: run them on benchmarks or on your own frames. Built on `ltr` and `ebm_common`."""

from pytracking.factory import Tracker
from pytracking.tracker.base import BaseTracker, TrackerOutput
from pytracking.tracker.together import track_together

__all__ = ["BaseTracker", "Tracker", "TrackerOutput", "track_together"]
