"""Functions by the names that they have in `pytracking.evaluation` of PyTracking, for scripts and experiments."""

from __future__ import annotations

from collections.abc import Iterable

from pytracking.evaluation.running import TrackerSpec
from pytracking.factory import current_param


def Tracker(  # noqa: N802
    name: str, parameter_name: str, run_id: int | None = None, display_name: str | None = None
) -> TrackerSpec:
    """A tracker to be run on data sets; run n has the seed n. (To track frames of your own: `pytracking.Tracker`.)"""
    param = current_param(name, parameter_name)
    return TrackerSpec(name, param, seed=run_id or 0, run_id=run_id, display_name=display_name)


def trackerlist(
    name: str, parameter_name: str, run_ids: int | Iterable[int] | None = None, display_name: str | None = None
) -> list[TrackerSpec]:
    """A tracker's numbered runs: trackerlist('atom', 'default', range(3), 'ATOM')."""
    ids = [run_ids] if run_ids is None or isinstance(run_ids, int) else run_ids
    return [Tracker(name, parameter_name, run_id, display_name) for run_id in ids]
