"""Run a tracker on your own video, a folder of images, or a stream:

    python pytracking/run_video.py atom ebm clip.mp4
    python pytracking/run_video.py atom ebm clip.mp4 --box 59 13 56 88 --save-video tracked.mp4 --no-display
    python pytracking/run_video.py atom ebm frames/ --box 10 20 50 40 --box 200 80 30 30 --density
    python pytracking/run_video.py atom ebm rtsp://camera.local/stream --save-video tracked.mp4

Without --box, boxes are drawn with the mouse on the first frame: draw, Enter, and so on, then Enter without one. Boxes
go to {results}/{tracker}/{param}/videos/{video}.txt (x, y, w, h; the first pixel is [0, 1]), with seconds and a JSON
file beside them; with several objects, to {video}_1.txt, .... The saved video has the source's frames, size and times.
Any further '--name value' sets that setting of the tracker. Of a live stream the newest frame is taken each time. The
exit code is 0 when all is well, 2 when something is wrong, 130 after Ctrl-C; what was done until then is kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ltr.common.errors import cli_main
from pytracking.evaluation.video_run import add_options, parse_arguments, run
from pytracking.utils.video_sources import open_source


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_video.py",
        usage="run_video.py tracker_name tracker_param video [options] [--<setting> value ...]",
        description="Run a tracker on a video, a folder of images, or a stream.",
        epilog="Any other '--name value' changes that setting of the tracker.",
        allow_abbrev=False,
    )
    parser.add_argument("tracker_name", help="atom or opencv")
    parser.add_argument("tracker_param", help="parameter file: ebm, atom_star, default, ...; csrt or kcf for opencv")
    parser.add_argument("video", help="file, folder of images, or address (rtsp://..., http://...)")
    add_options(parser)
    return parser


@cli_main
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for and returns the exit code."""
    options, spec = parse_arguments(_parser(), arguments)
    return run(spec, open_source(options.video), options)


if __name__ == "__main__":
    sys.exit(main())
