"""A report: trackers compared on the same sequences, each with its scores, and all of it as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ltr.common.provenance import git_commit, package_version
from pytracking.analysis.metrics import (
    CENTER_THRESHOLDS,
    NORM_CENTER_THRESHOLDS,
    OVERLAP_THRESHOLDS,
    Curves,
    SequenceScore,
    mean_curves,
)
from pytracking.analysis.official import OFFICIAL, pooled
from pytracking.analysis.speed import Speed

_OFFICIAL_KEYS = tuple(key for official in OFFICIAL.values() for key in official.columns)
SORT_KEYS = ("auc", "op50", "op75", "precision", "norm_precision", *_OFFICIAL_KEYS, "fps", "name")


@dataclass(frozen=True)
class TrackerScore:
    """A tracker's scores: of each sequence, and the mean over sequences; of merged runs, mean and spread.

    Attributes:
        name: as shown in tables and plots.
        folders: one for each run.
        overall: the mean curves.
        sequences: the score of each sequence, by name.
        speed: frames per second, where times were recorded.
        records: how each run was made, from its run.json; None without such a record.
        official: the benchmark's own measures over all sequences, by key; empty if they are not of one benchmark that
            has its own.
        std: the standard deviation (n - 1) over the runs of each overall number; None for one run.
        by_run: the sequences' scores in each run.
        boxes: by sequence, the boxes that were scored, (M, 4) as annotated; of merged runs, those of the first.
    """

    name: str
    folders: tuple[Path, ...]
    overall: Curves
    sequences: dict[str, SequenceScore]
    speed: Speed = field(default_factory=Speed)
    records: tuple[dict[str, Any] | None, ...] = ()
    official: dict[str, float] = field(default_factory=dict)
    std: dict[str, float] | None = None
    by_run: tuple[dict[str, SequenceScore], ...] = ()
    boxes: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        return len(self.folders)

    def scalars(self) -> dict[str, float | None]:
        """The numbers of a table row: rates in [0, 1], None where nothing is scored, and fps."""
        rates = {key: None if np.isnan(rate) else rate for key, rate in self.overall.scalars().items()}
        return {**rates, **self.official, "fps": self.speed.fps}

    @property
    def fps(self) -> float | None:
        return self.speed.fps

    @property
    def sequence_fps(self) -> dict[str, float]:
        return self.speed.by_sequence

    def over(self, sequences: Sequence[str]) -> tuple[dict[str, float], dict[str, float] | None]:
        """The rates, in [0, 1], over some of the sequences.

        Returns:
            The mean over these sequences in each run, averaged over the runs; and its standard deviation over the
            runs, as in `std`.
        """
        runs = [mean_rates([run[name] for name in sequences]) for run in self.by_run]
        return {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}, spread(runs)


@dataclass(frozen=True)
class Report:
    """Trackers compared on the same sequences.

    Attributes:
        dataset: its title.
        sequences: names of those scored.
        missing: by tracker, the sequences it has no result of; nobody is scored on them.
        exclude_invalid: frames without a visible target are left out of the rates.
        trackers: their scores.
        notes: what a reader of the numbers has to know, a sentence each.
        attributes: by attribute, the scored sequences that carry it: OTB's eleven in the benchmark's order, then
            others alphabetically. Empty if the sequences have none.
        halves: the scored sequences of half A and half B (`split_in_halves`); empty unless requested.
        unscored: sequences of which only the first box is known, so that nobody is scored on them here.
        scoring: the benchmarks by whose rules the sequences are scored, see `rules.py`.
    """

    dataset: str
    sequences: tuple[str, ...]
    missing: dict[str, tuple[str, ...]]
    exclude_invalid: bool
    trackers: tuple[TrackerScore, ...]
    notes: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    halves: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()
    scoring: tuple[str, ...] = ()

    @property
    def skipped(self) -> tuple[str, ...]:
        """The sequences that some tracker has no result of."""
        return tuple(sorted({name for lacking in self.missing.values() for name in lacking}))

    def by_attribute(self, tracker: TrackerScore) -> dict[str, Curves]:
        """A tracker's curves by attribute: the mean over the scored sequences that carry it, with equal weights."""
        return {
            attribute: mean_curves([tracker.sequences[name].curves for name in names])
            for attribute, names in self.attributes.items()
        }

    def sorted(self, key: str = "auc") -> Report:
        """The same report, best tracker first by `key` (one of SORT_KEYS); 'name' sorts alphabetically, as do ties.

        Raises:
            ValueError: if the key is unknown.
        """
        if key not in SORT_KEYS:
            raise ValueError(f"unknown sort key {key!r}; one of {', '.join(SORT_KEYS)}")

        def order(tracker: TrackerScore) -> tuple[float, str]:
            value = None if key == "name" else tracker.scalars().get(key)
            return (0.0 if key == "name" else np.inf if value is None else -value, tracker.name)

        return replace(self, trackers=tuple(sorted(self.trackers, key=order)))

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON types: rates in [0, 1], curves with their thresholds, source folders, version."""
        return {
            "format": "pytracking.analysis/1",
            "version": package_version(),
            "commit": git_commit(),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "dataset": self.dataset,
            "sequences": list(self.sequences),
            "missing_sequences": {name: list(lacking) for name, lacking in self.missing.items()},
            "unscored_sequences": list(self.unscored),
            "scoring": list(self.scoring),
            "exclude_invalid": self.exclude_invalid,
            "thresholds": {
                "success": OVERLAP_THRESHOLDS.tolist(),
                "precision": CENTER_THRESHOLDS.tolist(),
                "norm_precision": NORM_CENTER_THRESHOLDS.tolist(),
            },
            "notes": list(self.notes),
            "attributes": {attribute: list(names) for attribute, names in self.attributes.items()},
            **({"halves": {half: list(names) for half, names in self.halves.items()}} if self.halves else {}),
            "trackers": {
                tracker.name: _tracker_to_json(tracker)
                | {"attributes": {a: curves.scalars() for a, curves in self.by_attribute(tracker).items()}}
                | ({"halves": self._halves_to_json(tracker)} if self.halves else {})
                for tracker in self.trackers
            },
        }

    def _halves_to_json(self, tracker: TrackerScore) -> dict[str, Any]:
        scores = {half: tracker.over(names) for half, names in self.halves.items()}
        return {half: {**mean, "std": std} for half, (mean, std) in scores.items()}


def mean_rates(scores: Sequence[SequenceScore]) -> dict[str, float]:
    """The rates over sequences: the mean of their curves, and the benchmark's own measures."""
    return {**mean_curves([score.curves for score in scores]).scalars(), **pooled(scores)}


def spread(runs: Sequence[dict[str, float]]) -> dict[str, float] | None:
    """The standard deviation (n - 1) of each rate over the runs; None for one run."""
    if len(runs) < 2:
        return None
    return {key: float(np.std([run[key] for run in runs], ddof=1)) for key in runs[0]}


def _curves_to_json(curves: Curves) -> dict[str, list[float]]:
    return {
        "success": curves.success.tolist(),
        "precision": curves.precision.tolist(),
        "norm_precision": curves.norm_precision.tolist(),
    }


def _tracker_to_json(tracker: TrackerScore) -> dict[str, Any]:
    return {
        "folders": [str(folder.resolve()) for folder in tracker.folders],
        "runs": tracker.runs,
        "records": list(tracker.records),
        "overall": {
            **tracker.scalars(),
            "fps_got10k": tracker.speed.toolkit,
            "std": tracker.std,
            "curves": _curves_to_json(tracker.overall) if tracker.sequences else None,
        },
        "sequences": {
            name: {
                **score.scalars(),
                **({"std": tracker.over([name])[1]} if tracker.std else {}),
                "fps": tracker.sequence_fps.get(name),
                "frames": score.frames,
                "invalid_frames": score.invalid,
                "replaced_boxes": score.replaced,
                "padded_boxes": score.padded,
                "cut_boxes": score.cut,
                "curves": _curves_to_json(score.curves),
            }
            for name, score in tracker.sequences.items()
        },
    }
