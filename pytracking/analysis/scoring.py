"""From result folders and ground truth to one report: which sequences count, each tracker's scores on them, and its
speed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ltr.common.errors import UserError
from ltr.common.provenance import git_commit, package_version
from pytracking.analysis.metrics import (
    CENTER_THRESHOLDS,
    NORM_CENTER_THRESHOLDS,
    OVERLAP_THRESHOLDS,
    Curves,
    SequenceScore,
    mean_curves,
    score_sequence,
)
from pytracking.analysis.results import TrackerResults, read_boxes
from pytracking.evaluation.datasets import ATTRIBUTE_NAMES

SORT_KEYS = ("auc", "op50", "op75", "precision", "norm_precision", "fps", "name")


class GroundTruth(Protocol):
    """What scoring needs of a sequence; `TrackingSequence` has it, and so has `results.Annotation`."""

    name: str
    ground_truth: np.ndarray  # (N, 4), coordinates as annotated
    attributes: tuple[str, ...]  # what is hard about it, such as OCC


@dataclass(frozen=True)
class TrackerScore:
    """A tracker's scores: the mean over sequences, and each sequence by itself; of merged runs, mean and spread.

    `fps` is frames divided by seconds, the first frame and its initialisation included, averaged over the scored
    sequences with recorded times. `records` says of each run how it was made, where it was recorded, and `by_run` has
    the sequences' scores of each by itself. `std` is the standard deviation (n - 1) of each overall number over the
    runs, None of one run.
    """

    name: str
    folders: tuple[Path, ...]
    overall: Curves
    sequences: dict[str, SequenceScore]
    sequence_fps: dict[str, float] = field(default_factory=dict)
    fps: float | None = None
    records: tuple[dict[str, Any] | None, ...] = ()
    std: dict[str, float] | None = None
    by_run: tuple[dict[str, SequenceScore], ...] = ()

    @property
    def runs(self) -> int:
        return len(self.folders)

    def scalars(self) -> dict[str, float | None]:
        """The numbers of a table row: rates in [0, 1], and fps."""
        return {**self.overall.scalars(), "fps": self.fps}

    def over(self, sequences: Sequence[str]) -> tuple[dict[str, float], dict[str, float] | None]:
        """The rates, in [0, 1], over some of the sequences: the mean over these in each run, then the mean over the
        runs, and its standard deviation as in `std`.
        """
        runs = [mean_curves([run[name].curves for name in sequences]) for run in self.by_run]
        return mean_curves(runs).scalars(), _spread(runs)


@dataclass(frozen=True)
class Report:
    """Trackers compared on the same sequences.

    `attributes` has, by attribute, the scored sequences that carry it: OTB's eleven in the benchmark's order, others
    after them by the alphabet. It is empty where the sequences have none. `halves` has the scored sequences of half A
    and half B (`split_in_halves`), and is empty where they were not asked for.
    """

    dataset: str
    sequences: tuple[str, ...]
    missing: dict[str, tuple[str, ...]]  # by tracker: the sequences it lacks, which count for none
    exclude_invalid: bool
    trackers: tuple[TrackerScore, ...]
    notes: tuple[str, ...]  # what a reader of the numbers has to know, a sentence each
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    halves: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def skipped(self) -> tuple[str, ...]:
        """The sequences that some tracker lacks."""
        return tuple(sorted({name for lacking in self.missing.values() for name in lacking}))

    def by_attribute(self, tracker: TrackerScore) -> dict[str, Curves]:
        """A tracker's curves by attribute: the mean over the scored sequences that carry it, all with the same weight,
        whatever else they carry.
        """
        return {
            attribute: mean_curves([tracker.sequences[name].curves for name in names])
            for attribute, names in self.attributes.items()
        }

    def sorted(self, key: str = "auc") -> Report:
        """The same report, best tracker first by `key` (one of SORT_KEYS); 'name' sorts alphabetically. Ties:
        alphabetically.
        """
        if key not in SORT_KEYS:
            raise ValueError(f"unknown sort key {key!r}; one of {', '.join(SORT_KEYS)}")

        def order(tracker: TrackerScore) -> tuple[float, str]:
            value = None if key == "name" else tracker.scalars()[key]
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
        "overall": {**tracker.scalars(), "std": tracker.std, "curves": _curves_to_json(tracker.overall)},
        "sequences": {
            name: {
                **score.curves.scalars(),
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


def score_results(
    dataset: str,
    sequences: Sequence[GroundTruth],
    results: Sequence[TrackerResults],
    *,
    exclude_invalid: bool = False,
    merge_runs: bool = False,
    missing: str = "skip",
    halves: bool = False,
) -> Report:
    """Score every result folder on the sequences that all of them have.

    A sequence that some tracker lacks is left out for all of them, and the report's notes say which and why
    (`missing='skip'`), or the whole is refused (`missing='error'`). With `merge_runs` the numbered runs of one
    parameter become one tracker: curves are averaged over the runs, and the spread is kept. With `halves` the report
    names two halves of the sequences, see `split_in_halves`. Raises UserError if nothing is left to score (or nothing
    of one half), or a file is bad.
    """
    if not results:
        raise UserError("there is no result to score; run a tracker first, or name one by --external NAME=FOLDER")
    names = [result.name for result in results]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two results are called {name}; give each --external result a name of its own")
    absent = {
        result.name: tuple(sequence.name for sequence in sequences if sequence.name not in result.files)
        for result in results
    }
    absent = {name: lacking for name, lacking in absent.items() if lacking}
    notes = []
    for lacking in dict.fromkeys(absent.values()):
        who = [name for name in absent if absent[name] == lacking]
        notes.append(f"no result of {_some(who)} for {len(lacking)} of {len(sequences)} sequences: {_some(lacking)}")
    if absent and missing == "error":
        raise UserError(f"{notes[0]}; run these, or score what all trackers have by --missing skip")
    skipped = {name for lacking in absent.values() for name in lacking}
    scored = [sequence for sequence in sequences if sequence.name not in skipped]
    if not scored:
        raise UserError(
            f"no sequence of {dataset} has a result of every tracker ({'; '.join(notes)}); choose by --trackers"
        )
    split = split_in_halves([sequence.name for sequence in sequences]) if halves else {}
    # What a half holds goes by the data set alone, so that it is the same whichever trackers are compared.
    split = {half: tuple(name for name in names if name not in skipped) for half, names in split.items()}
    empty = [half for half, names in split.items() if not names]
    if empty:
        raise UserError(
            f"half {empty[0]} of {dataset} has none of the {len(scored)} scored sequences; score more, or leave out "
            "--halves"
        )
    if skipped:
        notes.append(f"scored on the {len(scored)} sequences that every tracker has")

    trackers = [_score_run(result, scored, exclude_invalid) for result in results]
    for tracker in trackers:
        short = [f"{name} ({score.padded} boxes)" for name, score in tracker.sequences.items() if score.padded]
        if short:
            notes.append(f"{tracker.name} ends early, which counts as failure, in {_some(short)}")
        long = [f"{name} ({score.cut} boxes)" for name, score in tracker.sequences.items() if score.cut]
        if long:
            notes.append(f"{tracker.name} has surplus boxes, which are left out, in {_some(long)}")
    without_target = [name for name, score in trackers[0].sequences.items() if score.invalid]
    if without_target and not exclude_invalid:
        notes.append(
            f"frames without an annotated target count as failures (--exclude_invalid leaves them out): "
            f"{_some([f'{name} ({trackers[0].sequences[name].invalid})' for name in without_target])}"
        )
    if merge_runs:
        trackers = _merge_runs(results, trackers)
    return Report(
        dataset,
        sequences=tuple(sequence.name for sequence in scored),
        missing=absent,
        exclude_invalid=exclude_invalid,
        trackers=tuple(trackers),
        notes=tuple(notes),
        attributes=_by_attribute(scored),
        halves=split,
    ).sorted()


def split_in_halves(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Half A and half B of the sequences: in the order of their names, numbers in them by value and letters whatever
    their case, the first goes to A, the second to B, the third to A, and so on.
    """

    def order(name: str) -> tuple[list[str | int], str]:
        parts = re.split(r"(\d+)", name.casefold())
        return [int(part) if i % 2 else part for i, part in enumerate(parts)], name

    ordered = sorted(names, key=order)
    return {"A": tuple(ordered[::2]), "B": tuple(ordered[1::2])}


def _by_attribute(sequences: Sequence[GroundTruth]) -> dict[str, tuple[str, ...]]:
    carried = {attribute for sequence in sequences for attribute in sequence.attributes}
    order = [attribute for attribute in ATTRIBUTE_NAMES if attribute in carried]
    return {
        attribute: tuple(sequence.name for sequence in sequences if attribute in sequence.attributes)
        for attribute in (*order, *sorted(carried.difference(order)))
    }


def _some(names: Sequence[str], limit: int = 12) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{', '.join(names[:limit])}{more}"


def _score_run(result: TrackerResults, sequences: Sequence[GroundTruth], exclude_invalid: bool) -> TrackerScore:
    scores, fps = {}, {}
    for sequence in sequences:
        path = result.files[sequence.name]
        try:
            scores[sequence.name] = score_sequence(read_boxes(path), sequence.ground_truth, exclude_invalid)
        except ValueError as error:
            raise UserError(f"{path} cannot be scored against the ground truth of {sequence.name}: {error}") from error
        times = result.times(sequence.name)
        if times is not None and times.sum() > 0:
            fps[sequence.name] = len(times) / float(times.sum())
    return TrackerScore(
        result.name,
        folders=(result.folder,),
        # Averaged as a curve first, so that a perfect tracker's AUC is exactly 20/21 and not a rounding error away from
        # it.
        overall=mean_curves([score.curves for score in scores.values()]),
        sequences=scores,
        sequence_fps=fps,
        fps=float(np.mean(list(fps.values()))) if fps else None,
        records=(result.record(),),
        by_run=(scores,),
    )


def _merge_runs(results: Sequence[TrackerResults], trackers: Sequence[TrackerScore]) -> list[TrackerScore]:
    """Numbered runs of one parameter become one tracker; a result without a run number stays as it is."""
    groups: dict[str, list[TrackerScore]] = {}
    merged = []
    for result, tracker in zip(results, trackers, strict=True):
        if result.run is None:
            merged.append(tracker)
        else:
            groups.setdefault(result.parameter, []).append(tracker)
    for parameter, runs in groups.items():
        speeds = [run.fps for run in runs if run.fps is not None]
        merged.append(
            TrackerScore(
                f"{parameter} ({len(runs)} run{'s' if len(runs) > 1 else ''})",
                folders=tuple(run.folders[0] for run in runs),
                overall=mean_curves([run.overall for run in runs]),
                sequences={name: _merge_scores([run.sequences[name] for run in runs]) for name in runs[0].sequences},
                sequence_fps=_mean_by_name([run.sequence_fps for run in runs]),
                fps=float(np.mean(speeds)) if speeds else None,
                records=tuple(run.records[0] for run in runs),
                std=_spread([run.overall for run in runs]),
                by_run=tuple(run.sequences for run in runs),
            )
        )
    return merged


def _spread(runs: Sequence[Curves]) -> dict[str, float] | None:
    """The standard deviation (n - 1) of each rate over the runs; None of one run."""
    if len(runs) < 2:
        return None
    rates = [curves.scalars() for curves in runs]
    return {key: float(np.std([each[key] for each in rates], ddof=1)) for key in rates[0]}


def _merge_scores(scores: Sequence[SequenceScore]) -> SequenceScore:
    return replace(
        scores[0],
        curves=mean_curves([score.curves for score in scores]),
        replaced=sum(score.replaced for score in scores),
        padded=sum(score.padded for score in scores),
        cut=sum(score.cut for score in scores),
    )


def _mean_by_name(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for value in values for name in value)
    return {name: float(np.mean([value[name] for value in values if name in value])) for name in names}
