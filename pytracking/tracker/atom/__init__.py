"""ATOM, and its boxes refined by ATOM* and by the paper's EBM."""

from pytracking.tracker.atom.settings import AtomSettings
from pytracking.tracker.base import BaseTracker


def build(settings: AtomSettings, device: str | None, seed: int) -> BaseTracker:
    """The tracker of these settings."""
    from pytracking.tracker.atom.atom import Atom

    return Atom(settings, device, seed)
