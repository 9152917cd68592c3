"""ATOM, ATOM* and the EBM on a generated benchmark: tracked, scored and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ltr.common.images import read_image
from ltr.dataset.generated import write_benchmark
from pytracking.analysis import Report, find_results, read_boxes, score_results
from pytracking.analysis.tables import tracker_table, write_tables
from pytracking.demo.picture import write_picture
from pytracking.evaluation import RunReport, SequenceList, TrackerSpec, get_dataset, run_dataset
from pytracking.evaluation.results import ResultsError
from pytracking.utils.contact_sheet import contact_sheet
from pytracking.utils.drawing import GROUND_TRUTH, TRACKER_COLOURS, draw_box, draw_label, enlarge

SHEET_FRAMES = 2
"""Frames of each sequence in the picture."""


def run_benchmark(out: Path, specs: Mapping[str, TrackerSpec]) -> bool:
    """Track, score and draw the generated benchmark; True if a sequence failed."""
    dataset = get_dataset(str(write_benchmark(out / "benchmark")))
    lengths = sorted({len(sequence) for sequence in dataset})
    print(f"1. Generated benchmark: {len(dataset)} sequences of {lengths[0]} frames with exact ground truth")
    failed, changed = False, False
    for name, spec in specs.items():
        run = _run(dataset, spec, out / "results", name)
        failed |= bool(run.failed)
        changed |= bool(run.finished)
    print()
    report = _score(dataset, specs, out / "results")
    for note in report.notes:
        print(f"note: {note}")
    print(tracker_table(report))
    write_tables(report, out / "scores")
    if changed or not (out / "benchmark.png").is_file():
        write_picture(out / "benchmark.png", benchmark_sheet(dataset, report))
    return failed


def _run(dataset: SequenceList, spec: TrackerSpec, results: Path, name: str) -> RunReport:
    """Run one tracker on the sequences that it has not finished before, and report."""
    print(f"   {name}:", flush=True)
    try:
        report = run_dataset(dataset, spec, results, problems=dataset.problems)
    except ResultsError:
        # Results of other weights or settings are there. A folder that cannot be written fails again here.
        report = run_dataset(dataset, spec, results, problems=dataset.problems, overwrite=True)
        print("   results of another version were moved aside")
    if report.skipped:
        print(f"   {len(report.skipped)} sequences were finished by an earlier run and are not run again")
    for sequence, cause in report.failed.items():
        print(f"   failed: {sequence}: {cause}")
    return report


def _score(dataset: SequenceList, specs: Mapping[str, TrackerSpec], results: Path) -> Report:
    names = [sequence.name for sequence in dataset]
    found = []
    for name, spec in specs.items():
        folder = spec.results_folder(results)
        (run,) = find_results(results, names, [f"{folder.parent.name}/{folder.name}"])
        found.append(replace(run, name=name))
    return score_results("Generated benchmark", list(dataset), found)


def benchmark_sheet(dataset: SequenceList, report: Report) -> np.ndarray:
    """Frames of every scored sequence with the boxes of all trackers and the truth: uint8 (H, W, 3) RGB."""
    colours = {tracker.name: TRACKER_COLOURS[tracker.name] for tracker in report.trackers}
    tiles = []
    for sequence in (dataset[name] for name in report.sequences):
        boxes = {
            tracker.name: sequence.to_tracker(read_boxes(tracker.folders[0] / f"{sequence.name}.txt"))
            for tracker in report.trackers
        }
        truth = sequence.to_tracker(sequence.ground_truth)
        for frame in np.linspace(0, len(sequence) - 1, SHEET_FRAMES + 1).round().astype(int)[1:]:
            tile = enlarge(read_image(sequence.frames[frame]), 1.5)
            draw_box(tile, truth[frame], GROUND_TRUTH, 4, 1.5)
            for name, colour in colours.items():
                draw_box(tile, boxes[name][frame], colour, 2, 1.5)
            draw_label(tile, f"{sequence.name.replace('_', ' ')}, frame {frame + 1}", size=15)
            tiles.append(tile)
    return contact_sheet(
        tiles,
        2 * SHEET_FRAMES,
        "Generated benchmark",
        {"ground truth": GROUND_TRUTH, **colours},
        "The trackers are given the box in frame 1 and nothing else.",
    )
