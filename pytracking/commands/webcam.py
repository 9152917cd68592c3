"""ebm-webcam: run a tracker on a camera.

The picture is live until you press space; then draw boxes with the mouse as in ebm-video, whose results, views and
options these are. The tracker takes the camera's newest frame each time: if it is slower than the camera it misses
frames, but never falls behind. q, Escape, closing the window or Ctrl-C ends the run and keeps its results.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ltr.common.command_line import CommandParser, positive_float, positive_int
from ltr.common.errors import cli_main
from pytracking.commands.options import SETTINGS_HELP, add_tracker, add_video, parse, tracebacks, video_run_options
from pytracking.evaluation.video_run import run_video
from pytracking.utils.video_sources import open_camera


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="ebm-webcam",
        usage="ebm-webcam tracker_name tracker_param [options] [--<setting> value ...]",
        description="Run a tracker on a camera.",
        examples=f"""{SETTINGS_HELP}

Without --box, press space to hold the picture, then draw boxes as in ebm-video. q ends the run.

examples:
  ebm-webcam atom ebm
  ebm-webcam atom ebm --camera 1 --save_video tracked.mp4 --seconds 60
  ebm-webcam atom ebm --camera rtsp://camera.local/stream --box 300 200 80 80 --no_display""",
    )
    add_tracker(parser)
    parser.add_argument("--camera", default="0", help="number (0), device (/dev/video1) or address (rtsp://...)")
    parser.add_argument("--seconds", type=positive_float, metavar="S", help="end after this time")
    parser.add_argument("--frames", type=positive_int, metavar="N", help="end after this number of tracked frames")
    add_video(parser)
    return parser


@cli_main
def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    options, spec = parse(_parser(), argv)
    with tracebacks(options.debug):
        run_video(spec, open_camera(options.camera), video_run_options(options, options.seconds, options.frames))
    return 0


if __name__ == "__main__":
    sys.exit(main())
