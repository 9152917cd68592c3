"""Trackers, a package each, behind the interface of `base.py`. `pytracking.factory` makes them by name."""
