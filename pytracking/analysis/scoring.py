"""Scores result folders against ground truth: which sequences count, each tracker's scores on them, and its speed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ltr.common.errors import UserError
from pytracking.analysis.box_files import GroundTruth
from pytracking.analysis.box_forms import first_box_notes, form_of
from pytracking.analysis.metrics import SequenceScore, mean_curves, score_sequence
from pytracking.analysis.result_boxes import read_result, some
from pytracking.analysis.score_report import Report, TrackerScore, spread
from pytracking.analysis.tracker_results import TrackerResults, of_each
from pytracking.evaluation.datasets import ATTRIBUTE_NAMES


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

    Args:
        dataset: title of the report.
        sequences: the ground truth.
        results: of the trackers.
        exclude_invalid: leave frames without an annotated target out of the rates.
        merge_runs: turn the numbered runs of one parameter into one tracker: its curves are the mean over the runs,
            with their spread.
        missing: what to do with a sequence that some tracker has no result of: 'skip' it for all trackers and say so
            in the report's notes, or refuse with an 'error'.
        halves: also name two halves of the sequences, see :func:`split_in_halves`.

    Raises:
        UserError: if there is nothing to score (or nothing in one half). A tracker with a file that cannot be
            understood is left out, and the report's notes name it.
    """
    if not results:
        raise UserError("there is no result to score; run a tracker first, or name one with --external PATH")
    names = [result.name for result in results]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two results are called {name}; give each --external result a name of its own")
    read, notes = of_each(results, lambda result: read_result(result, sequences))
    notes += [note for each in read.values() for note in each.notes]
    boxes = {name: each.boxes for name, each in read.items()}
    results = [result for result in results if result.name in boxes]
    absent = {
        result.name: tuple(sequence.name for sequence in sequences if sequence.name not in result.files)
        for result in results
    }
    absent = {name: lacking for name, lacking in absent.items() if lacking}
    for lacking in dict.fromkeys(absent.values()):
        who = [name for name in absent if absent[name] == lacking]
        notes.append(f"no result of {some(who)} for {len(lacking)} of {len(sequences)} sequences: {some(lacking)}")
    if absent and missing == "error":
        raise UserError(f"{notes[-1]}; run these, or score what all trackers have with --missing skip")
    skipped = {name for lacking in absent.values() for name in lacking}
    scored = [sequence for sequence in sequences if sequence.name not in skipped]
    if not scored:
        raise UserError(
            f"no sequence of {dataset} has a result of every tracker ({'; '.join(notes)}); select some with --trackers"
        )
    split = split_in_halves([sequence.name for sequence in sequences]) if halves else {}
    # The data set alone decides what a half holds, so that it is the same whichever trackers are compared.
    split = {half: tuple(name for name in names if name not in skipped) for half, names in split.items()}
    empty = [half for half, names in split.items() if not names]
    if empty:
        raise UserError(
            f"half {empty[0]} of {dataset} has none of the {len(scored)} scored sequences; score more, or leave out "
            "--halves"
        )
    if skipped:
        notes.append(f"scored on the {len(scored)} sequences that every tracker has")

    trackers = [_score_run(result, boxes[result.name], scored, exclude_invalid) for result in results]
    for tracker in trackers:
        truths = {sequence.name: sequence.ground_truth for sequence in scored}
        forms = {name: form_of(boxes[tracker.name][name], truth) for name, truth in truths.items()}
        notes += first_box_notes(tracker.name, forms)
        short = [f"{name} ({score.padded} boxes)" for name, score in tracker.sequences.items() if score.padded]
        if short:
            notes.append(f"{tracker.name} ends early, which counts as failure, in {some(short)}")
        long = [f"{name} ({score.cut} boxes)" for name, score in tracker.sequences.items() if score.cut]
        if long:
            notes.append(f"{tracker.name} has surplus boxes, which are ignored, in {some(long)}")
    without_target = [name for name, score in trackers[0].sequences.items() if score.invalid]
    if without_target and not exclude_invalid:
        notes.append(
            f"frames without an annotated target count as failures (--exclude_invalid leaves them out): "
            f"{some([f'{name} ({trackers[0].sequences[name].invalid})' for name in without_target])}"
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
    """Half A and half B of the sequences: sorted by name, they go alternately to A and B.

    Sorting compares numbers inside names by value and ignores case.
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


def _score_run(
    result: TrackerResults, boxes: Mapping[str, np.ndarray], sequences: Sequence[GroundTruth], exclude_invalid: bool
) -> TrackerScore:
    scores, fps = {}, {}
    for sequence in sequences:
        try:
            scores[sequence.name] = score_sequence(boxes[sequence.name], sequence.ground_truth, exclude_invalid)
        except ValueError as error:
            path = result.files[sequence.name]
            raise UserError(f"{path} cannot be scored against the ground truth of {sequence.name}: {error}") from error
        times = _times(result, sequence.name)
        if times is not None and times.sum() > 0:
            fps[sequence.name] = len(times) / float(times.sum())
    return TrackerScore(
        result.name,
        folders=(result.folder,),
        # The curves are averaged first, so that a perfect tracker's AUC is exactly 20/21 without a rounding error.
        overall=mean_curves([score.curves for score in scores.values()]),
        sequences=scores,
        sequence_fps=fps,
        fps=float(np.mean(list(fps.values()))) if fps else None,
        records=(result.record(),),
        by_run=(scores,),
        boxes=dict(boxes),
    )


def _times(result: TrackerResults, sequence: str) -> np.ndarray | None:
    """Seconds per frame; None if there are none that can be read, which takes nothing from the boxes."""
    try:
        return result.times(sequence)
    except UserError:
        return None


def _merge_runs(results: Sequence[TrackerResults], trackers: Sequence[TrackerScore]) -> list[TrackerScore]:
    """Turn the numbered runs of one parameter into one tracker; a result without a run number stays as it is."""
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
                std=spread([run.overall for run in runs]),
                by_run=tuple(run.sequences for run in runs),
                boxes=runs[0].boxes,
            )
        )
    return merged


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
