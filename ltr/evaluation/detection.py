"""Table 2 of the paper, object detection: COCO's average precision of each system, and how many images a second."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from tqdm import tqdm

from ebm_common import xywh_to_xyxy
from ltr.common.device import choose_device
from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.files import write_json, write_text
from ltr.common.provenance import file_hash, provenance
from ltr.dataset import DetectionImages, read_coco_detection
from ltr.evaluation.detection_result import DetectionResult, evaluate
from ltr.evaluation.detection_sheet import contact_sheet
from ltr.evaluation.runs import Run, check_alike, find_runs
from ltr.evaluation.tables import Mean, Table
from ltr.models.detection import CONFIDENCE_SYSTEMS, load_detector
from ltr.train_settings.detection import images as trained_images

__all__ = ["NAMES", "UNREFINED", "DetectionResult", "draw_sheet", "evaluate", "main", "make_table"]

NAMES = {
    "direct": "Faster-RCNN",
    "gaussian": "Gaussian",
    "mixture2": "Gaussian Mixt. 2",
    "mixture4": "Gaussian Mixt. 4",
    "mixture8": "Gaussian Mixt. 8",
    "cvae": "Gaussian cVAE",
    "laplace": "Laplace",
    "iou_net": "IoU-Net",
    "iou_net_star": "IoU-Net*",
    "ebm": "Ours (EBM)",
}
"""The systems in the paper's order, and its names for them."""
UNREFINED = "unrefined"
"""Key of results without refinement: '{system} unrefined'."""
_COLUMNS = {"AP": "ap", "AP50": "ap50", "AP75": "ap75", "AP_S": "ap_small", "AP_M": "ap_medium", "AP_L": "ap_large"}
_OWN = ("detector.system", "detector.refinement", "proposals", "optimizer", "schedule", "grad_clip", "epochs",
        "samples_per_epoch", "batch_size")  # fmt: skip
_SHEET_IMAGES = 200  # of a contact sheet, unless all are detected in without refinement anyway


@dataclass
class Options:
    """What is evaluated, on what, and where the results go."""

    system: tyro.conf.Positional[str | None] = None
    """One of the paper's systems, such as ebm; by default all that have a finished run."""
    checkpoint: tuple[Path, ...] = ()
    """Files of trained detectors, in place of the runs of the workspace."""
    runs: tuple[Path, ...] = ()
    """Folders of runs, or runs; by default all of detection in the workspace."""
    root: Path | None = None
    """Folder of data in COCO's layout. By default the generated set for runs that were trained on it, else the path
    'coco' of the environment."""
    split: Literal["val", "train"] = "val"
    year: Literal[2014, 2017] | None = None
    """Of the annotations; by default the first of them that is there."""
    limit: int | None = None
    """Only the first so many images."""
    unrefined: bool = False
    """Also a row without refinement for each system that refines."""
    step: tuple[float, float] | None = None
    """Refine in other steps than the detector's own: for position and for size."""
    decay: float | None = None
    """The same for the factor of a step that was too long,"""
    iterations: int | None = None
    """and for the number of steps."""
    restart: bool = False
    """Detect anew also where there are detections already."""
    out: Path | None = None
    """Folder of table, detections and contact sheets; by default one in the workspace."""
    workspace: Path | None = None
    """Where runs and results lie."""
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True)
class _Candidate:
    """A trained detector that is to be evaluated."""

    system: str
    name: str
    file: Path


def main(argv: list[str]) -> int:
    """The command `run_evaluation.py detection`; returns 0.

    Raises:
        UserError: nothing to evaluate, files, data and options that do not fit each other, or a folder that cannot be
            written.
    """
    options = tyro.cli(Options, args=argv, prog="run_evaluation.py detection")
    _check(options)
    workspace = get_path("workspace", options.workspace)
    out = options.out or workspace / "evaluation" / "detection"
    runs, problems = [], []
    if not options.checkpoint:
        runs, problems = _runs(options, workspace)
    candidates = [_Candidate(run.system, run.name, run.weights) for run in runs] or _files(options)
    images = _images(options, runs)
    results, sheets = _evaluate_all(candidates, images, options, out)
    table = make_table(results, f"Detection on {images.name}: COCO's AP in percent, mean ± standard error over runs")
    table.notes += [*_what_was_run(results, images), *_training(runs), *problems]
    print(table.text())
    for path in [*_write(table, results, candidates, runs, options, out), *sheets]:
        print(f"written: {path}")
    print(f"detections, as COCO results: {out / 'detections'}")
    return 0


def make_table(results: Mapping[str, Sequence[DetectionResult]], title: str) -> Table:
    """The paper's table: a row for each key, its results being runs of different seeds.

    Args:
        results: by system, or '{system} unrefined'; these come first, in the paper's order. Other keys name their rows.
        title: one line.
    """
    table = Table(title, [*_COLUMNS, "images/s", "runs"])
    order = [key for system in NAMES for key in (f"{system} {UNREFINED}", system)]
    for key in sorted(results, key=lambda key: order.index(key) if key in order else len(order)):
        found = results[key]
        cells = [_percent([getattr(r.metrics, name) for r in found]) for name in _COLUMNS.values()]
        speed = Mean.of([r.frames_per_second for r in found])
        table.rows.append((_row_name(key), [*cells, speed, str(len(found))]))
    return table


def draw_sheet(
    images: DetectionImages,
    before: DetectionResult,
    after: DetectionResult,
    path: Path,
    title: str = "Boxes before and after refinement",
) -> Path:
    """A contact sheet of one detector's results without and with refinement, of the images that both have; the path.

    Raises:
        UserError: the file cannot be written.
    """
    number = min(before.images, after.images)
    row = {int(image_id): i for i, image_id in enumerate(images.ids[:number])}

    def by_image(result: DetectionResult) -> list[dict[str, Any]]:
        found: list[list[dict[str, Any]]] = [[] for _ in row]
        for detection in result.detections:
            if detection["image_id"] in row:
                found[row[detection["image_id"]]].append(detection)
        return [
            {
                "boxes": xywh_to_xyxy(torch.tensor([d["bbox"] for d in each]).reshape(-1, 4)),
                "labels": [d["category_id"] for d in each],
                "scores": [d["score"] for d in each],
            }
            for each in found
        ]

    truth = [{"boxes": images.boxes(i), "labels": images.labels(i)} for i in range(number)]
    title = f"{title} ({images.name}, {number} images)"
    contact_sheet(images, by_image(before), by_image(after), truth, images.categories, path, title)
    return path


def _check(options: Options) -> None:
    if options.system is not None and options.system not in NAMES:
        raise UserError(f"there is no system {options.system!r}; there are: {', '.join(NAMES)}")
    if options.checkpoint and options.runs:
        raise UserError("--checkpoint and --runs both name what is to be evaluated; give one of them")
    for name in ("limit", "iterations"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}; it must be at least 1")
    if options.step is not None and not all(0 < step < math.inf for step in options.step):
        raise UserError(f"--step is {options.step[0]:g} {options.step[1]:g}; both must be positive and finite")
    if options.decay is not None and not 0 < options.decay < 1:
        raise UserError(f"--decay is {options.decay:g}; it must lie between 0 and 1")
    choose_device(options.device)  # refuses what is not there, before data is read


def _runs(options: Options, workspace: Path) -> tuple[list[Run], list[str]]:
    """Finished runs, and sentences about those that are missing or cannot be used."""
    wanted = options.system
    folders = options.runs or [workspace / "checkpoints" / "ltr" / "detection"]
    runs, problems = find_runs("detection", folders, wanted or "direct")
    runs = [run for run in runs if wanted in (None, run.system)]
    if not runs:
        raise UserError(
            f"no finished run {f'of {wanted} ' if wanted else ''}was found"
            + "".join(f"; {problem}" for problem in problems[:1])
            + f"; train one: python ltr/run_training.py detection {wanted or 'direct'}"
        )
    check_alike(runs, _OWN)
    missing = [system for system in NAMES if system not in {run.system for run in runs}]
    if missing and wanted is None:
        problems.insert(0, f"No finished run of {', '.join(missing)}: python ltr/run_training.py detection NAME.")
    return runs, problems


def _files(options: Options) -> list[_Candidate]:
    """The files of --checkpoint; each is loaded to see what it is, before hours are spent on another."""
    found = []
    for file in options.checkpoint:
        system = load_detector(file).system
        if options.system not in (None, system):
            raise UserError(f"{file} is a detector of system {system}, not of {options.system}")
        found.append(_Candidate(system, f"{file.absolute().parent.name}_{file.stem}", file))
    return found


def _images(options: Options, runs: Sequence[Run]) -> DetectionImages:
    if options.root is None and runs and runs[0].settings.data.set == "generated":
        runs[0].settings.workspace = options.workspace
        return trained_images(runs[0].settings, options.split)
    return read_coco_detection(get_path("coco", options.root), options.split, options.year)


def _evaluate_all(
    candidates: Sequence[_Candidate], images: DetectionImages, options: Options, out: Path
) -> tuple[dict[str, list[DetectionResult]], list[Path]]:
    """Results by system, and by '{system} unrefined', their detections on disk and no longer in them; and the contact
    sheets of the first run of each system that refines.
    """
    refining = [c for c in candidates if c.system in CONFIDENCE_SYSTEMS]
    if not refining and any(v is not None for v in (options.step, options.decay, options.iterations)):
        raise UserError("--step, --decay and --iterations are of refinement, but none of these detectors refines")
    number = len(images) if options.limit is None else min(options.limit, len(images))
    sheet_number = number if options.unrefined else min(number, _SHEET_IMAGES)
    firsts = {c.system: c for c in reversed(refining)}
    also = refining if options.unrefined else list(firsts.values())
    results: dict[str, list[DetectionResult]] = {}
    sheets: list[Path] = []
    total = number * len(candidates) + sheet_number * len(also)
    with (
        _told_how_to_go_on(options),
        tqdm(total=total, unit="image", leave=False, disable=None, dynamic_ncols=True) as bar,
    ):
        for candidate in candidates:
            bar.set_description(candidate.name)
            detector = load_detector(candidate.file, choose_device(options.device))
            _override(detector.refinement, options)

            def score(refine: bool, limit: int, detector=detector, name=candidate.name) -> DetectionResult:
                file = out / "detections" / (name if refine else f"{name}_{UNREFINED}")
                result = evaluate(detector, images, file, refine, limit, bar, options.restart)
                return _with_coco_file(result)

            after = score(True, number)
            results.setdefault(candidate.system, []).append(replace(after, detections=[]))
            if candidate in also:
                before = score(False, sheet_number)
                if options.unrefined:
                    key = f"{candidate.system} {UNREFINED}"
                    results.setdefault(key, []).append(replace(before, detections=[]))
                if candidate is firsts[candidate.system]:
                    path = out / f"{_stem(options)}_{candidate.system}.png"
                    title = f"{NAMES[candidate.system]}, {candidate.name}: boxes before and after refinement"
                    sheets.append(draw_sheet(images, before, after, path, title))
    return results, sheets


def _override(refinement: Any, options: Options) -> None:
    for name in ("step", "decay", "iterations"):
        if getattr(options, name) is not None:
            setattr(refinement, name, getattr(options, name))


def _with_coco_file(result: DetectionResult) -> DetectionResult:
    """The same; its detections are written as COCO results beside their log."""
    _writing(result.file.parent, lambda: write_text(result.file.with_suffix(".json"), json.dumps(result.detections)))
    return result


def _what_was_run(results: Mapping[str, Sequence[DetectionResult]], images: DetectionImages) -> list[str]:
    first = next(iter(results.values()))[0]
    text = f"{first.images} images"
    if first.images < len(images):
        text = f"The first {first.images} of {len(images)} images"
    missing = images.skipped.get("images without a file", 0)
    notes = [text + (f"; {missing} more are listed by the annotations but not there." if missing else ".")]
    for name in first.unreadable[:1]:
        others = f" and {len(first.unreadable) - 1} more" if len(first.unreadable) > 1 else ""
        notes.append(f"Could not be used, and counted as without a detection: {name}{others}.")
    threads = first.about["threads"]
    on = f"{first.about['device']}, {threads} thread{'s' if threads > 1 else ''}"
    notes.append(f"images/s: one image at a time, without reading it, of the median image; on {on}.")
    for system, name in NAMES.items():
        for s in [r.about["refinement"] for r in results.get(system, ())[:1] if r.about["refinement"]]:
            steps = f"lambda = {s['step'][0]:g} and {s['step'][1]:g}"
            notes.append(f"{name} refined by Algorithm S1 with T = {s['iterations']}, {steps}, eta = {s['decay']:g}.")
    return notes


def _training(runs: Sequence[Run]) -> list[str]:
    """How long each system was trained, those that were alike together, and on what."""
    systems: dict[str, list[str]] = {}
    for run in runs:
        s = run.settings
        what = f"{run.epochs * s.samples_per_epoch // s.batch_size} steps of {s.batch_size} images"
        if run.system not in systems.setdefault(what, []):
            systems[what].append(run.system)
    if not runs:
        return []
    parts = [f"{', '.join(sorted(names, key=list(NAMES).index))}: {what}" for what, names in systems.items()]
    base = runs[0].settings.detector.base
    return [f"Trained on {runs[0].settings.data.set}, {base.name} at {base.min_size} px; {'; '.join(parts)}."]


def _stem(options: Options) -> str:
    return options.split if options.limit is None else f"{options.split}_first{options.limit}"


def _write(
    table: Table,
    results: Mapping[str, Sequence[DetectionResult]],
    candidates: Sequence[_Candidate],
    runs: Sequence[Run],
    options: Options,
    out: Path,
) -> list[Path]:
    about = provenance(
        options,
        device=choose_device(options.device),
        results={key: [_record(r) for r in found] for key, found in results.items()},
        notes=table.notes,
        files={str(c.file): file_hash(c.file) for c in candidates},
        runs={str(run.weights): run.settings for run in runs},
    )
    paths = [out / f"{_stem(options)}.{ending}" for ending in ("txt", "json", "tex")]

    def write() -> None:
        write_text(paths[0], table.text() + "\n")
        write_json(paths[1], about)
        write_text(paths[2], table.latex())

    _writing(out, write)
    return paths


def _record(result: DetectionResult) -> dict[str, Any]:
    """A result for JSON; each image's seconds are in the log."""
    return {
        "metrics": asdict(result.metrics),
        "images": result.images,
        "unreadable": result.unreadable,
        "images_per_second": result.frames_per_second,
        "seconds": {f"{q:.0%}": np.quantile(result.seconds_per_image, q) for q in (0.1, 0.5, 0.9)},
        "log": result.file,
        "about": result.about,
    }


def _writing(folder: Path, write: Callable[[], None]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write()
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}; name another by --out") from error


@contextmanager
def _told_how_to_go_on(options: Options) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        command = "the same command, without --restart," if options.restart else "the same command"
        print(f"stopped; what was detected is kept, and {command} goes on from there", file=sys.stderr)
        raise


def _row_name(key: str) -> str:
    system, _, rest = key.partition(" ")
    name = NAMES.get(system)
    return key if name is None else name if not rest else f"{name}, {rest}"


def _percent(values: Sequence[float]) -> Mean | None:
    """None where there was nothing to be found."""
    return None if any(map(math.isnan, values)) else Mean.of([100 * value for value in values])
