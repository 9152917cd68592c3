"""Scores result folders against ground truth: which sequences count, each tracker's scores on them, and its speed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ltr.common.errors import UserError
from ltr.common.listing import some
from pytracking.analysis.box_files import GroundTruth
from pytracking.analysis.box_forms import first_box_notes, form_of
from pytracking.analysis.metrics import SequenceScore, mean_curves, score_sequence, valid_frames
from pytracking.analysis.official import OFFICIAL, pooled
from pytracking.analysis.result_boxes import read_result
from pytracking.analysis.rules import rule_of
from pytracking.analysis.score_report import Report, TrackerScore, mean_rates, spread
from pytracking.analysis.speed import mean_speed, measure_speed
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
        exclude_invalid: leave frames without a visible target out of the rates.
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
    sequences, alone = _with_truth(sequences)
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
    if alone:
        notes.append(_unscored_note(alone))
        if not sequences:
            return _unscored_report(dataset, alone, results, exclude_invalid, notes)
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
    if not exclude_invalid:
        notes += _invalid_notes(scored, trackers[0])
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
        unscored=tuple(sequence.name for sequence in alone),
        scoring=tuple(dict.fromkeys(sequence.scoring for sequence in scored)),
    ).sorted()


def _with_truth(sequences: Sequence[GroundTruth]) -> tuple[list[GroundTruth], list[GroundTruth]]:
    """The sequences that can be scored, and those of several frames of which only the first is annotated."""
    known: list[GroundTruth] = []
    alone: list[GroundTruth] = []
    for sequence in sequences:
        annotated = valid_frames(sequence.ground_truth)
        (alone if len(annotated) > 1 and annotated[0] and not annotated[1:].any() else known).append(sequence)
    return known, alone


def _unscored_note(alone: Sequence[GroundTruth]) -> str:
    servers = dict.fromkeys(sequence.scored_by for sequence in alone if sequence.scored_by)
    takes = f"; they are scored by {' and '.join(servers)}, for which ebm-analyse pack writes a file"
    elsewhere = takes if servers else ""
    names = some([sequence.name for sequence in alone], limit=3)
    return f"only the first box is known of {len(alone)} sequences, which are not scored here: {names}{elsewhere}"


def _unscored_report(
    dataset: str,
    alone: Sequence[GroundTruth],
    results: Sequence[TrackerResults],
    exclude_invalid: bool,
    notes: Sequence[str],
) -> Report:
    """The trackers that have results of sequences that cannot be scored here, with their speed."""
    names = tuple(sequence.name for sequence in alone)
    missing = {result.name: tuple(name for name in names if name not in result.files) for result in results}
    missing = {name: lacking for name, lacking in missing.items() if lacking}
    trackers = tuple(
        TrackerScore(
            result.name,
            folders=(result.folder,),
            overall=mean_curves([]),
            sequences={},
            speed=measure_speed(result, [name for name in names if name in result.files]),
            records=(result.record(),),
        )
        for result in results
    )
    lacking = [f"{name} has no result of {len(of)} of these" for name, of in missing.items()]
    scoring = tuple(dict.fromkeys(sequence.scoring for sequence in alone))
    return Report(
        dataset, (), missing, exclude_invalid, trackers, (*notes, *lacking), unscored=names, scoring=scoring
    ).sorted("name")


def _invalid_notes(sequences: Sequence[GroundTruth], tracker: TrackerScore) -> list[str]:
    """What frames without a visible target count as, for each rule that the sequences have."""
    by_rule: dict[str, list[str]] = {}
    for sequence in sequences:
        invalid = tracker.sequences[sequence.name].invalid
        if invalid:
            counts_as = rule_of(sequence.scoring).absent_counts_as()
            by_rule.setdefault(counts_as, []).append(f"{sequence.name} ({invalid})")
    return [
        f"frames without a visible target count as {counts_as} (--exclude_invalid leaves them out): {some(names)}"
        for counts_as, names in by_rule.items()
    ]


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
    scores = {}
    for sequence in sequences:
        try:
            scores[sequence.name] = _score(boxes[sequence.name], sequence, exclude_invalid)
        except ValueError as error:
            path = result.files[sequence.name]
            raise UserError(f"{path} cannot be scored against the ground truth of {sequence.name}: {error}") from error
    return TrackerScore(
        result.name,
        folders=(result.folder,),
        # The curves are averaged first, so that a perfect tracker's AUC is exactly 20/21 without a rounding error.
        overall=mean_curves([score.curves for score in scores.values()]),
        sequences=scores,
        speed=measure_speed(result, scores, pool_frames=all(sequence.scoring == "got10k" for sequence in sequences)),
        records=(result.record(),),
        official=pooled(list(scores.values())),
        by_run=(scores,),
        boxes=dict(boxes),
    )


def _score(boxes: np.ndarray, sequence: GroundTruth, exclude_invalid: bool) -> SequenceScore:
    """The score of one sequence by its benchmark's rule, with the benchmark's own measures if it has them."""
    rule = rule_of(sequence.scoring)
    score = score_sequence(boxes, sequence.ground_truth, exclude_invalid, rule, sequence.visible)
    if sequence.scoring not in OFFICIAL:
        return score
    truth = np.asarray(sequence.ground_truth, np.float64)
    measured = OFFICIAL[sequence.scoring].measure(boxes, truth, sequence.visible, sequence.image_size)
    return replace(score, official=measured.values, weight=measured.weight)


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
        rates = [mean_rates(list(run.sequences.values())) for run in runs]
        merged.append(
            TrackerScore(
                f"{parameter} ({len(runs)} run{'s' if len(runs) > 1 else ''})",
                folders=tuple(run.folders[0] for run in runs),
                overall=mean_curves([run.overall for run in runs]),
                sequences={name: _merge_scores([run.sequences[name] for run in runs]) for name in runs[0].sequences},
                speed=mean_speed([run.speed for run in runs]),
                records=tuple(run.records[0] for run in runs),
                official={key: float(np.mean([run.official[key] for run in runs])) for key in runs[0].official},
                std=spread(rates),
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
        official={key: float(np.mean([score.official[key] for score in scores])) for key in scores[0].official},
    )
