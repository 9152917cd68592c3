"""Options of ebm-video on annotation tools and several videos, and the runs that they describe."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ltr.common.errors import UserError
from pytracking.annotation.box_files import read_boxes
from pytracking.annotation.formats import EXPORT_FORMATS
from pytracking.annotation.matching import Matching, match_videos
from pytracking.annotation.starting import starting_boxes
from pytracking.annotation.tracks import VideoTracks
from pytracking.evaluation.many_videos import VideoJob, in_folders
from pytracking.evaluation.video_plan import BoxAt
from pytracking.evaluation.video_run import VideoRunOptions
from pytracking.utils.frame_selection import Place
from pytracking.utils.video import is_address, stream_name
from pytracking.utils.video_sources import is_image


def add_annotation(parser: argparse.ArgumentParser) -> None:
    """The options on files of boxes and exports."""
    parser.add_argument(
        "--boxes",
        type=Path,
        metavar="FILE",
        help="boxes from CVAT (.xml), MOTChallenge (.txt), COCO (.json), or a .csv",
    )
    parser.add_argument("--label", nargs="+", default=[], metavar="NAME", help="label of the objects, or one for each")
    parser.add_argument(
        "--export",
        nargs="+",
        default=[],
        choices=tuple(EXPORT_FORMATS),
        metavar="FORMAT",
        help=f"also write the results for annotation tools: {', '.join(EXPORT_FORMATS)}",
    )


def jobs(videos: Sequence[str], options: VideoRunOptions, boxes: Path | None) -> tuple[list[VideoJob], list[str]]:
    """A run for each video, from the boxes in a file if one is given; and the names in it that are none of the videos.

    Raises:
        UserError: if the file cannot be used, or what is asked for makes sense for one video only.
    """
    if len(videos) > 1 and all(map(is_image, videos)):
        folder = Path(videos[0]).parent
        raise UserError(
            f"{len(videos)} images are given one by one: to track through them, give their folder, {folder}"
        )
    if boxes and (options.boxes or options.boxes_at):
        raise UserError(f"--boxes and {'--box' if options.boxes else '--box_at'} are both given: give one of them")
    if (options.boxes or options.boxes_at) and len(videos) > 1:
        given = "--box" if options.boxes else "--box_at"
        raise UserError(f"{given} is of one video: for several, give a file of their boxes with --boxes")
    matching = match_videos(read_boxes(boxes), videos, boxes) if boxes else Matching()
    several = len(videos) > 1
    names = _names(videos)
    made = []
    for position, video in enumerate(videos):
        own = in_folders(options, names[position]) if several else options
        problem, left_out = matching.problems.get(position), None
        if boxes and not problem:
            try:
                own, left_out = _with_boxes(own, matching.found.get(position), boxes)
            except UserError as error:
                problem = str(error)
        made.append(VideoJob(video, own, problem, left_out))
    return made, matching.unused


def _with_boxes(options: VideoRunOptions, found: VideoTracks | None, file: Path) -> tuple[VideoRunOptions, str | None]:
    """The options with the boxes of one video; or why it is left out."""
    if found is None:
        return options, f"{file} has no box of it"
    starting = starting_boxes(found, file, from_zero=not (options.selection or options.both_ways))
    several = len(starting.ids) > 1
    later = [
        BoxAt(Place(str(box.frame), index=box.frame), box.position + 1 if several else None, box.box, box.place)
        for box in starting.later
    ]
    labels = options.labels or starting.labels
    return replace(options, boxes=starting.first or None, boxes_at=later, ids=starting.ids, labels=labels), None


def _names(videos: Sequence[str]) -> list[str]:
    """A short name for each video that no other one has."""
    names: list[str] = []
    for video in videos:
        stem = stream_name(video) if is_address(video) else Path(video.rstrip("/")).stem or "video"
        same = sum(name == stem or name.startswith(f"{stem}-") for name in names)
        names.append(f"{stem}-{same + 1}" if same else stem)
    return names
