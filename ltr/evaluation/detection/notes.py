"""The notes below a table of detectors: what was evaluated, and how the detectors were trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ltr.common.provenance import file_hash
from ltr.dataset import DetectionImages
from ltr.evaluation.detection.coco_metrics import MAX_DETECTIONS
from ltr.evaluation.detection.detector_evaluation import DetectorEvaluation
from ltr.evaluation.detection.table import SYSTEM_NAMES, row_name
from ltr.evaluation.runs import TrainedRun
from ltr.evaluation.steps.choice import StepChoice, origin


def data_notes(
    results: Mapping[str, Sequence[DetectorEvaluation]], images: DetectionImages, max_detections: int = MAX_DETECTIONS
) -> list[str]:
    """Images, number of detections, speed and refinement of the evaluation."""
    first = next(iter(results.values()))[0]
    text = f"{first.num_images} images"
    if first.num_images < len(images):
        text = f"The first {first.num_images} of {len(images)} images"
    missing = images.skipped.get("images without a file", 0)
    notes = [text + (f"; the annotations list {missing} more, whose files are missing." if missing else ".")]
    for name in first.unreadable[:1]:
        others = f" and {len(first.unreadable) - 1} more" if len(first.unreadable) > 1 else ""
        notes.append(f"Unreadable, and counted as without a detection: {name}{others}.")
    rule = " (COCO's rule)" if max_detections == MAX_DETECTIONS else ""
    note = f"At most {max_detections} detections of an image count{rule}"
    counts = np.diff(images.offsets[: first.num_images + 1])
    crowded = int((counts > max_detections).sum())
    if crowded:
        more = f"{crowded} image{'s have' if crowded > 1 else ' has'} more objects, up to {counts.max()}"
        note += f", but {more}: --max_detections {counts.max()} counts them all"
    notes.append(f"{note}.")
    machines: dict[str, list[str]] = {}
    for key, found in results.items():
        for about in [result.about for result in found]:
            threads = f"{about['threads']} thread{'s' if about['threads'] > 1 else ''}"
            machines.setdefault(f"{about['device']}, {threads}", []).append(row_name(key))
    several = len(machines) > 1
    on = [f"{name} ({', '.join(dict.fromkeys(rows))})" if several else name for name, rows in machines.items()]
    notes.append(f"images/s: of the median image, one image at a time, without reading it; on {'; on '.join(on)}.")
    for system, name in SYSTEM_NAMES.items():
        used = [r.about["refinement"] for r in results.get(system, ()) if r.about["refinement"]]
        for s in [s for k, s in enumerate(used) if s not in used[:k]]:
            steps = f"lambda = {s['step'][0]:g} and {s['step'][1]:g}"
            notes.append(f"{name} refined by Algorithm S1 with T = {s['iterations']}, {steps}, eta = {s['decay']:g}.")
    return notes


def choice_notes(choices: Iterable[StepChoice], images: DetectionImages) -> list[str]:
    """Where chosen steps come from, and whether they were chosen on the very images of the table."""
    here = file_hash(images.annotations)
    return list(
        dict.fromkeys(
            f"{origin(choice)}{', which are also evaluated here' if choice.annotations == here else ''}."
            for choice in choices
        )
    )


def training_notes(runs: Sequence[TrainedRun]) -> list[str]:
    """Data and length of the trainings; systems with trainings of the same length share an entry."""
    systems: dict[str, list[str]] = {}
    for run in runs:
        s = run.settings
        what = f"{run.epochs * s.steps_per_epoch} steps of {s.batch_size} images"
        if run.system not in systems.setdefault(what, []):
            systems[what].append(run.system)
    if not runs:
        return []
    parts = [f"{', '.join(sorted(names, key=list(SYSTEM_NAMES).index))}: {what}" for what, names in systems.items()]
    base = runs[0].settings.detector.base
    return [f"Trained on {runs[0].settings.data.set}, {base.name} at {base.min_size} px; {'; '.join(parts)}."]
