"""ebm-export: write results for annotation tools: CVAT, MOTChallenge, COCO for video.

Of your own videos it takes the records that ebm-video left, {video}.json, or the folder of them; of a benchmark the
boxes of trackers, selected as for ebm-analyse. The files are {folder of the results}/{format}/{video}, or in --out.

The exit code is 0 if all is written, 1 if some results could not be used, 2 after an error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ltr.common.command_line import CommandParser
from ltr.common.errors import UserError, cli_main
from pytracking.analysis.result_boxes import read_result
from pytracking.annotation.formats import EXPORT_FORMATS, export_tracks
from pytracking.annotation.tracks import VideoTracks, label_each
from pytracking.annotation.video_record import read_record
from pytracking.commands.analyse_inputs import add_inputs, no_result, print_notes, read_results
from pytracking.evaluation.datasets import get_dataset
from pytracking.evaluation.sequence_tracks import sequence_tracks


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="ebm-export",
        usage="ebm-export [record ...] --format FORMAT [FORMAT ...] [options]",
        description="Write results for annotation tools.",
        examples="""\
examples:
  ebm-export tracking_results/atom/ebm/videos/clip.json --format cvat mot
  ebm-export --format coco --dataset_name otb --sequence David --trackers atom/ebm""",
    )
    parser.add_argument(
        "record",
        nargs="*",
        type=Path,
        help="{video}.json of ebm-video, or a folder of them; without it, a benchmark's results are written",
    )
    parser.add_argument(
        "--format",
        nargs="+",
        required=True,
        choices=tuple(EXPORT_FORMATS),
        help=", ".join(EXPORT_FORMATS),
        metavar="NAME",
    )
    parser.add_argument("--label", nargs="+", default=[], metavar="NAME", help="label of the objects, or one for each")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: the folder of the results")
    parser.add_argument("--sequence", nargs="+", metavar="NAME", help="only these sequences, by name or index from 0")
    add_inputs(parser)
    return parser


@cli_main
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = _parser().parse_args(argv)
    problems = []
    found = _of_records(options) if options.record else _of_benchmarks(options)
    for folder, name, tracks in found:
        try:
            if isinstance(tracks, UserError):
                raise tracks
            for file in export_tracks(_labelled(tracks, options.label), options.format, folder, name):
                print(file)
        except UserError as error:
            problems.append(error)
            print(f"error: {error}", file=sys.stderr)
    return 1 if problems else 0


def _of_records(options: argparse.Namespace) -> Iterator[tuple[Path, str, VideoTracks | UserError]]:
    """Folder and name of the results of each video, and its objects or why there are none."""
    for path in options.record:
        files = [path]
        if path.is_dir():
            files = sorted(file for file in path.glob("*.json") if not file.stem.endswith(".partial"))
            if not files:
                raise UserError(f"{path} has no record of a video in it, {{video}}.json")
        for file in files:
            try:
                yield options.out or file.parent, file.stem, read_record(file)
            except UserError as error:
                yield options.out or file.parent, file.stem, error


def _of_benchmarks(options: argparse.Namespace) -> Iterator[tuple[Path, str, VideoTracks | UserError]]:
    """Folder of each tracker's results, the name of each sequence that it has, and the objects."""
    if options.annotations is not None:
        raise UserError("the size of the images is needed: name a data set with --dataset_name, not --annotations")
    dataset = get_dataset(*options.dataset_name, root=options.dataset_root, origin=options.origin)
    sequences = dataset.select(options.sequence) if options.sequence else list(dataset)
    results = read_results(options, [sequence.name for sequence in sequences])
    if not results:
        raise no_result(dataset.title, options)
    for result in results:
        folder = options.out / result.name if options.out else result.folder
        aligned = read_result(result, sequences)
        print_notes(aligned.notes)
        for sequence in sequences:
            if sequence.name in aligned.boxes:
                yield folder, sequence.name, sequence_tracks(sequence, aligned.boxes[sequence.name])


def _labelled(video: VideoTracks, labels: Sequence[str]) -> VideoTracks:
    if not labels:
        return video
    pairs = zip(video.tracks, label_each(labels, len(video.tracks)), strict=True)
    return replace(video, tracks=tuple(replace(track, label=label) for track, label in pairs))


if __name__ == "__main__":
    sys.exit(main())
