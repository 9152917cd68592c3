"""ebm-video: run a tracker on your own videos, folders of images, or a stream.

The boxes are written to {results}/{tracker}/{param}/videos/{video}.txt (x, y, w, h; the first pixel is [0, 1]), with
seconds and a JSON file beside them; several objects get {video}_1.txt, .... A saved video has the frames, size and
times of its source. Of a live stream, the tracker takes the newest frame each time. Options that this command does not
know change the tracker's settings.

Of a part of a video (--start, --end, --stride), {video}_frames.txt has the index of the frame of each line. Boxes given
in mid-run (--box_at, or b in the window) are marked in the JSON file. Results are in the order of the source, also if
the run goes backward.

Of several videos, those that were finished before are not run again, and one that fails does not stop the others.

The exit code is 0 if all went well, 1 if some of several videos failed, 2 after an error, 130 after Ctrl-C; what was
tracked until then is kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ltr.common.command_line import CommandParser, non_negative_int
from ltr.common.errors import UserError, cli_main
from pytracking.commands.annotation_options import add_annotation, jobs
from pytracking.commands.frame_options import add_frames
from pytracking.commands.options import SETTINGS_HELP, add_tracker, add_video, parse, tracebacks, video_run_options
from pytracking.evaluation.many_videos import VideoJob, run_videos
from pytracking.evaluation.running import TrackerSpec
from pytracking.evaluation.video_run import run_video
from pytracking.utils.video_sources import open_source


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="ebm-video",
        usage="ebm-video tracker_name tracker_param video [video ...] [options] [--<setting> value ...]",
        description="Run a tracker on a video, a folder of images, or a stream.",
        examples=f"""{SETTINGS_HELP}

Without --box, draw boxes on the first frame: drag the mouse, press Enter; Enter alone starts.

examples:
  ebm-video atom ebm clip.mp4 --box 59 13 56 88 --save_video tracked.mp4 --no_display
  ebm-video atom ebm *.mp4 --boxes boxes.csv --export cvat""",
    )
    add_tracker(parser)
    parser.add_argument("video", nargs="+", help="file, folder of images, or address (rtsp://..., http://...)")
    add_video(parser)
    add_frames(parser)
    parser.add_argument("--overwrite", action="store_true", help="of several videos, run finished ones again")
    parser.add_argument(
        "--threads",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="worker processes for several videos",
    )
    add_annotation(parser)
    return parser


@cli_main
def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    options, spec = parse(_parser(), argv)
    with tracebacks(options.debug):
        videos, unused = jobs(options.video, video_run_options(options), options.boxes)
        if len(videos) > 1:
            return _run_several(spec, videos, unused, options)
        (job,) = videos
        if job.problem or job.left_out:
            known = f"; it has boxes of {', '.join(unused)}" if unused else ""
            raise UserError(f"{job.problem or job.left_out}{known}")
        run_video(spec, open_source(job.video), job.options)
    return 0


def _run_several(spec: TrackerSpec, videos: list[VideoJob], unused: list[str], options: argparse.Namespace) -> int:
    report = run_videos(spec, videos, options.overwrite, bool(options.debug), options.threads)
    print(report.summary())
    if unused:
        what = (
            f"boxes of {', '.join(unused)}, which is none of the videos; leave out folders that are not on this machine"
        )
        print(f"error: {options.boxes} has {what}", file=sys.stderr)
    return 1 if report.failed or unused else 0


if __name__ == "__main__":
    sys.exit(main())
