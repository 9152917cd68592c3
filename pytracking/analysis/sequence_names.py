"""What other tools call a sequence."""

from __future__ import annotations

from pytracking.evaluation.datasets.otb_frames import OTB_LENGTHS

_PREFIXES = ("nfs_", "uav_", "uav10_", "tpl_", "dtb70_")
"""Of the names of NFS, UAV123 and Temple Color 128 in PyTracking, and of its version at 10 frames per second and DTB70
here; pysot and got10k's toolkit have none."""
_ONLY_TARGET = {"Human4-2": "Human4"}
"""OTB's toolkit and got10k count no targets where only one is annotated."""


def names_elsewhere(name: str) -> list[str]:
    """What else a sequence may be called; separators aside, which every tool writes differently."""
    bare = [name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix)]
    return [*bare, *([_ONLY_TARGET[name]] if name in _ONLY_TARGET else [])]


def name_for(tool: str, name: str) -> str:
    """What got10k, pysot or pytracking calls a sequence: Jogging.1, Jogging-1 or Jogging_1.

    Args:
        tool: 'got10k', 'pysot' or 'pytracking'.
        name: what it is called here.
    """
    base, dash, target = name.rpartition("-")
    of_otb = bool(dash) and name in OTB_LENGTHS  # LaSOT's airplane-1 is airplane-1 everywhere
    if tool == "pytracking":
        return f"{base}_{target}" if of_otb else name
    if tool == "got10k" and of_otb:
        return _ONLY_TARGET.get(name, f"{base}.{target}")
    return next((name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix)), name)
