"""Whether a video was tracked before, to its end and in the very way that is asked for now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ltr.common.plain import to_plain
from pytracking.evaluation.results import as_recorded_today, differences
from pytracking.evaluation.running import TrackerSpec
from pytracking.evaluation.video_export import describe_objects
from pytracking.evaluation.video_results import object_ends, recorded_run
from pytracking.evaluation.video_run import VideoRunOptions, describe_choice
from pytracking.utils.video import FrameSource


@dataclass(frozen=True)
class EarlierRun:
    """What there is of an earlier run.

    Attributes:
        finished: its record, if it counts.
        reason: why it does not count; empty if there is none.
    """

    finished: Path | None = None
    reason: str = ""


def earlier_run(folder: Path, source: FrameSource, spec: TrackerSpec, options: VideoRunOptions) -> EarlierRun:
    """The earlier run on this source, among the results in `folder`."""
    found = recorded_run(folder, source)
    if found is None:
        return EarlierRun()
    file, record = found
    reason = _why_again(file, record, source, spec, options)
    return EarlierRun(reason=f"{file} {reason}") if reason else EarlierRun(file)


def _why_again(
    file: Path, record: dict[str, Any], source: FrameSource, spec: TrackerSpec, options: VideoRunOptions
) -> str:
    """Why a record is not what the run would write; empty if it is."""
    if not record.get("complete"):
        return "is of a run that did not reach the end"
    path = getattr(source, "path", None)
    if path is not None and path.exists() and path.stat().st_mtime > file.stat().st_mtime:
        return "is older than the video"
    made_with = to_plain(spec.made_with())
    changes = differences(as_recorded_today(record.get("made_with", {}), spec.settings()), made_with)
    if changes:
        return f"was made with other settings ({'; '.join(changes[:3])})"
    if to_plain(describe_choice(source, options)) != record.get("selection"):
        return "is of other frames, or has other boxes in them"
    if options.boxes is not None:
        first = np.array(record.get("first_boxes", [])[: len(options.boxes) or None], np.float64)
        boxes = np.array(options.boxes, np.float64)
        if first.shape != boxes.shape or not np.allclose(first, boxes, atol=1e-3):
            return "starts from other boxes"
    names = [described["name"] for described in record.get("objects", [])]
    if options.ids or options.labels:
        described = describe_objects(names, options.ids, options.labels)
        if described != record.get("objects"):
            return "has other names of the objects"
    kinds = [".txt", "_density.jsonl"] if options.density else [".txt"]
    missing = [f"{file.stem}{end}{kind}" for end in object_ends(names) for kind in kinds]
    missing = [name for name in missing if not (file.parent / name).exists()]
    if missing:
        return f"has no {missing[0]} beside it"
    drawn = [str(made) for made in (options.save_video, options.save_images) if made and not made.exists()]
    return f"is of a run without {drawn[0]}" if drawn else ""
