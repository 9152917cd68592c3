"""Functions by the names that they have in `pytracking.evaluation` of PyTracking, for scripts and experiments."""

from __future__ import annotations

from collections.abc import Iterable

from pytracking.evaluation.running import TrackerSpec
from pytracking.factory import current_param


def Tracker(name: str, parameter_name: str, run_id: int | None = None) -> TrackerSpec:  # noqa: N802
    """A tracker to be run on data sets; run n has the seed n. (To track frames of your own: `pytracking.Tracker`.)"""
    return TrackerSpec(name, current_param(name, parameter_name), seed=run_id or 0, run_id=run_id)


def trackerlist(name: str, parameter_name: str, run_ids: int | Iterable[int] | None = None) -> list[TrackerSpec]:
    """A tracker's numbered runs: trackerlist('atom', 'default', range(3))."""
    ids = [run_ids] if run_ids is None or isinstance(run_ids, int) else run_ids
    return [Tracker(name, parameter_name, run_id) for run_id in ids]
