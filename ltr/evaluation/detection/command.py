"""Table 2 of the paper from trained detectors: COCO's average precision of each system, and images a second."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from tqdm import tqdm

from ltr.common.device import choose_device
from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.files import write_text
from ltr.common.provenance import file_hash, provenance
from ltr.dataset import DetectionImages
from ltr.evaluation.detection.candidates import (
    DetectorFile,
    base_detector,
    find_detector_runs,
    named_detectors,
    read_images,
)
from ltr.evaluation.detection.coco_metrics import MAX_DETECTIONS
from ltr.evaluation.detection.detector_evaluation import DetectorEvaluation, evaluate_detector
from ltr.evaluation.detection.kept_rows import (
    Row,
    kept_note,
    move_aside,
    only_writer,
    others,
    read_rows,
    runs_of,
    why_not_shared,
)
from ltr.evaluation.detection.notes import choice_notes, data_notes, training_notes
from ltr.evaluation.detection.options import DetectionEvaluationOptions
from ltr.evaluation.detection.sheet import draw_sheet
from ltr.evaluation.detection.table import SYSTEM_NAMES, UNREFINED, make_table
from ltr.evaluation.runs import TrainedRun
from ltr.evaluation.steps.choice import StepChoice, kept_choice
from ltr.evaluation.steps.detections import refinement_of
from ltr.evaluation.tables import Table, write_table, writing_to
from ltr.models.detection import CONFIDENCE_SYSTEMS, Detector, load_detector

_SHEET_IMAGES = 200  # of a contact sheet, unless --unrefined detects in all images without refinement anyway


def main(argv: list[str]) -> int:
    """The command `ebm-evaluate detection`; returns 0.

    Raises:
        UserError: if there is nothing to evaluate, files, data and options do not fit each other, or a folder cannot be
            written.
    """
    options = tyro.cli(DetectionEvaluationOptions, args=argv, prog="ebm-evaluate detection", use_underscores=True)
    options.check()
    workspace = get_path("workspace", options.workspace)
    out = options.out or workspace / "evaluation" / "detection"
    runs: list[TrainedRun] = []
    problems: list[str] = []
    if options.checkpoint:
        candidates = named_detectors(options)
    else:
        runs, problems = find_detector_runs(options, workspace)
        candidates = [DetectorFile(run.system, run.name, run.weights) for run in runs]
        base = base_detector(runs) if options.system is None else None
        if base is not None:
            candidates.insert(0, base)
            problems.append(f"{SYSTEM_NAMES['direct']} is the base of the others, {base.file}.")
    images = read_images(options, runs)
    refining = [c.file for c in candidates if c.system in CONFIDENCE_SYSTEMS]
    choices = {file: choice for file in refining if (choice := kept_choice(file)) is not None}
    results, sheets = _evaluate_all(candidates, images, options, choices, out)
    rows = _rows(results, candidates, runs, choices, images, options)
    with only_writer(out, _stem(options)):
        earlier, said = _earlier_rows(rows, options, out)
        rows = {**earlier, **rows}
        table = make_table(
            {key: row.results for key, row in rows.items()},
            f"Detection on {images.name}: COCO's AP in percent, mean ± standard error over runs",
        )
        table.notes += data_notes({key: row.results for key, row in rows.items()}, images, options.max_detections)
        table.notes += dict.fromkeys(note for row in rows.values() for note in row.notes)
        table.notes += [*training_notes(runs_of(rows)), *kept_note(earlier), *problems]
        print(table.text())
        for path in [*_write(table, rows, options, out), *sheets]:
            print(f"written: {path}")
    for sentence in said:
        print(sentence)
    print(f"detections, as COCO results: {out / 'detections'}")
    return 0


def _evaluate_all(
    candidates: Sequence[DetectorFile],
    images: DetectionImages,
    options: DetectionEvaluationOptions,
    choices: Mapping[Path, StepChoice],
    out: Path,
) -> tuple[dict[str, list[DetectorEvaluation]], list[Path]]:
    """Evaluates all detectors; `choices` are what searches have chosen, by the detector's file.

    Returns:
        Results by system and by '{system} unrefined', without their detections, which are on disk; and the contact
        sheets of the first run of each system that refines.
    """
    refining = [c for c in candidates if c.system in CONFIDENCE_SYSTEMS]
    if not refining and any(v is not None for v in (options.step, options.decay, options.iterations)):
        raise UserError("--step, --decay and --iterations are of refinement, but none of these detectors refines")
    num_images = len(images) if options.limit is None else min(options.limit, len(images))
    num_sheet_images = num_images if options.unrefined else min(num_images, _SHEET_IMAGES)
    most = options.max_detections
    firsts = {c.system: c for c in reversed(refining)}
    also_unrefined = refining if options.unrefined else list(firsts.values())
    results: dict[str, list[DetectorEvaluation]] = {}
    sheets: list[Path] = []
    total = num_images * len(candidates) + num_sheet_images * len(also_unrefined)
    with (
        _saying_how_to_continue(options),
        tqdm(total=total, unit="image", leave=False, disable=None, dynamic_ncols=True) as bar,
    ):
        for candidate in candidates:
            bar.set_description(candidate.name)
            detector = load_detector(candidate.file, choose_device(options.device))
            _set_refinement(detector, choices.get(candidate.file), options)
            log = out / "detections" / candidate.name
            after = evaluate_detector(detector, images, log, True, num_images, bar, options.restart, most)
            _write_coco_results(after)
            results.setdefault(candidate.system, []).append(replace(after, detections=[]))
            if candidate not in also_unrefined:
                continue
            log = log.with_name(f"{candidate.name}_{UNREFINED}")
            before = evaluate_detector(detector, images, log, False, num_sheet_images, bar, options.restart, most)
            _write_coco_results(before)
            if options.unrefined:
                key = f"{candidate.system} {UNREFINED}"
                results.setdefault(key, []).append(replace(before, detections=[]))
            if candidate is firsts[candidate.system]:
                path = out / f"{_stem(options)}_{candidate.system}.png"
                title = f"{SYSTEM_NAMES[candidate.system]}, {candidate.name}: boxes before and after refinement"
                sheets.append(draw_sheet(images, before, after, path, title))
    return results, sheets


def _set_refinement(detector: Detector, choice: StepChoice | None, options: DetectionEvaluationOptions) -> None:
    """Sets the refinement that a search has chosen, if one has, and then what the options say."""
    if choice is not None:
        detector.refinement = refinement_of(choice, detector.refinement)
    for name in ("step", "decay", "iterations"):
        if getattr(options, name) is not None:
            setattr(detector.refinement, name, getattr(options, name))


def _write_coco_results(result: DetectorEvaluation) -> None:
    """Writes the detections as COCO results beside their log."""
    if result.file is not None:
        with writing_to(result.file.parent):
            write_text(result.file.with_suffix(".json"), json.dumps(result.detections))


def _stem(options: DetectionEvaluationOptions) -> str:
    stem = options.split if options.limit is None else f"{options.split}_first{options.limit}"
    return stem if options.max_detections == MAX_DETECTIONS else f"{stem}_max{options.max_detections}"


def _rows(
    results: Mapping[str, Sequence[DetectorEvaluation]],
    candidates: Sequence[DetectorFile],
    runs: Sequence[TrainedRun],
    choices: Mapping[Path, StepChoice],
    images: DetectionImages,
    options: DetectionEvaluationOptions,
) -> dict[str, Row]:
    about = provenance(options, device=choose_device(options.device))
    rows = {}
    for key, found in results.items():
        files = [c.file for c in candidates if c.system == key.partition(" ")[0]]
        made = {**about, "files": {str(file): file_hash(file) for file in files}}
        chosen = [choices[file] for file in files if file in choices and options.step is None]
        own = [run for run in runs if run.weights in files]
        rows[key] = Row([*found], [_record(r) for r in found], made, choice_notes(chosen, images), own)
    return rows


def _earlier_rows(
    new: Mapping[str, Row], options: DetectionEvaluationOptions, out: Path
) -> tuple[dict[str, Row], list[str]]:
    """The rows of the table on disk that stay, if one system was asked for; and sentences for the user.

    A table with rows that can neither stay nor are evaluated anew gets another name.
    """
    stem = _stem(options)
    try:
        rows = others(read_rows(out / f"{stem}.json"), new)
        problem = why_not_shared(rows, new) if options.system else "it has rows of other systems"
    except UserError as error:
        rows, problem = {}, str(error)
    else:
        if not rows or problem is None:
            return rows, []
    moved = [str(path) for path in move_aside(out, stem)]
    return {}, [f"the earlier table is now {', '.join(moved)}: {problem}"]


def _write(table: Table, rows: Mapping[str, Row], options: DetectionEvaluationOptions, out: Path) -> list[Path]:
    about = provenance(
        options,
        device=choose_device(options.device),
        results={key: row.records for key, row in rows.items()},
        notes=table.notes,
        rows={key: row.to_plain() for key, row in rows.items()},
        files={name: digest for row in rows.values() for name, digest in row.made.get("files", {}).items()},
        runs={str(run.weights): run.settings for run in runs_of(rows)},
    )
    return write_table(table, out, _stem(options), about)


def _record(result: DetectorEvaluation) -> dict[str, Any]:
    """A result for JSON. The seconds of each image are in the log."""
    return {
        "metrics": asdict(result.metrics),
        "images": result.num_images,
        "unreadable": result.unreadable,
        "images_per_second": result.images_per_second,
        "seconds": {f"{q:.0%}": np.quantile(result.seconds_per_image, q) for q in (0.1, 0.5, 0.9)},
        "log": result.file,
        "about": result.about,
    }


@contextmanager
def _saying_how_to_continue(options: DetectionEvaluationOptions) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        command = "the same command, without --restart," if options.restart else "the same command"
        print(f"stopped; all detections so far are kept, and {command} continues", file=sys.stderr)
        raise
