"""Run a tracker on a camera:

    python pytracking/run_webcam.py atom ebm
    python pytracking/run_webcam.py atom ebm --camera 1 --save-video tracked.mp4 --seconds 60
    python pytracking/run_webcam.py atom ebm --camera rtsp://camera.local/stream --box 300 200 80 80 --no-display

The picture is live until you press space; boxes are then drawn with the mouse as in run_video.py, whose results, views
and options these are. The tracker takes the camera's newest frame each time: where it is slower than the camera frames
are missed, and it never falls behind. q, Escape or closing the window ends the run; so does Ctrl-C, which keeps all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ltr.common.errors import cli_main
from pytracking.evaluation.video_run import add_options, parse_arguments, run
from pytracking.utils.arguments import natural
from pytracking.utils.video_sources import open_camera


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_webcam.py",
        usage="run_webcam.py tracker_name tracker_param [options] [--<setting> value ...]",
        description="Run a tracker on a camera.",
        epilog="Any other '--name value' changes that setting of the tracker.",
        allow_abbrev=False,
    )
    parser.add_argument("tracker_name", help="atom or opencv")
    parser.add_argument("tracker_param", help="parameter file: ebm, atom_star, default, ...; csrt or kcf for opencv")
    parser.add_argument("--camera", default="0", help="number (0), device (/dev/video1) or address (rtsp://...)")
    parser.add_argument("--seconds", type=_positive, metavar="N", help="end after so long")
    parser.add_argument("--frames", type=_count, metavar="N", help="end after so many tracked frames")
    add_options(parser)
    return parser


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def _count(text: str) -> int:
    count = natural(text)
    if not count:
        raise argparse.ArgumentTypeError("there is no run of 0 frames")
    return count


@cli_main
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for and returns the exit code."""
    options, spec = parse_arguments(_parser(), arguments)
    return run(spec, open_camera(options.camera), options, options.seconds, options.frames)


if __name__ == "__main__":
    sys.exit(main())
