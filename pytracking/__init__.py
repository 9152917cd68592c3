"""Online trackers: run them on benchmarks or on one's own frames. Stands on `ltr` and `ebm_common`."""

from pytracking.tracker import BaseTracker, Tracker, TrackerOutput

__all__ = ["BaseTracker", "Tracker", "TrackerOutput"]
