"""Running a tracker on a video, a folder of images, a stream or a camera: what run_video.py and run_webcam.py share."""

from __future__ import annotations

import argparse
import random
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from tqdm import tqdm

from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.provenance import provenance
from pytracking.evaluation.running import TrackerSpec
from pytracking.evaluation.sequence_run import tracker_device
from pytracking.evaluation.video_results import VideoResults
from pytracking.tracker.base import check_first_box
from pytracking.utils.arguments import natural
from pytracking.utils.video import Frame, FrameSource
from pytracking.utils.video_sources import LatestFrames
from pytracking.view.base import TargetTracker, TrackedFrame, View, Views
from pytracking.view.live.visdom_view import VisdomView
from pytracking.view.recording import ImageFolderView, VideoView
from pytracking.view.server import DEFAULT_PORT
from pytracking.view.window import HELP, WindowView, choose_boxes, why_no_window


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that both commands have. Each is understood with dashes too: --save-video."""

    def add(name: str, **rest: Any) -> None:
        spellings = dict.fromkeys([f"--{name}", f"--{name.replace('_', '-')}"])
        parser.add_argument(*spellings, dest=name, **rest)

    add(
        "box",
        nargs=4,
        type=_number,
        action="append",
        metavar=("X", "Y", "W", "H"),
        help="the target in the first frame, in pixels; once for each object (default: drawn with the mouse)",
    )
    add("save_video", type=Path, metavar="FILE", help="write a video (.mp4) with the boxes drawn")
    add("save_images", type=Path, metavar="FOLDER", help="write each frame as a picture with the boxes drawn")
    add("density", action="store_true", help="write p(y|x) of each frame, and draw it into all that is shown")
    add("no_display", action="store_true", help="open no window")
    add("visdom", action="store_true", help="show the run live in visdom's page, as run_tracker.py --debug 1 does")
    add("visdom_server", default="localhost", metavar="HOST", help="where visdom runs (localhost)")
    add("visdom_port", type=natural, default=DEFAULT_PORT, metavar="PORT", help=f"its port ({DEFAULT_PORT})")
    add("out", type=Path, metavar="FOLDER", help="for the results ({results}/{tracker}/{param}/videos)")
    add("device", help="cpu, cuda or cuda:N")
    add("seed", type=natural, default=0, help="seed of all that is random (0)")
    add("debug", type=natural, default=0, metavar="LEVEL", help="1: show the traceback of every failure")


def parse_arguments(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> tuple[argparse.Namespace, TrackerSpec]:
    """The known options, and the tracker; what is not known are its settings.

    Raises:
        UserError: no such tracker or setting.
    """
    known, others = parser.parse_known_args(arguments)
    if others and not others[0].startswith("--"):
        parser.error(f"unexpected argument {others[0]!r}")
    spec = TrackerSpec(known.tracker_name, known.tracker_param, known.device, known.seed, tuple(others))
    spec.settings()  # a misspelt tracker or setting is said before any video is looked at
    return known, spec


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a box is four numbers x y w h, and {text!r} is not a number") from None


def run(
    spec: TrackerSpec,
    source: FrameSource,
    options: argparse.Namespace,
    seconds: float | None = None,
    frames: int | None = None,
) -> int:
    """Track the objects whose boxes the options have, or that are drawn, through a source, and close it.

    Of a live source the newest frame is taken each time: a tracker slower than the source misses frames, and never
    falls behind.

    Args:
        options: of :func:`add_options`.
        seconds, frames: end after so much of the source.

    Returns:
        The exit code, 0.

    Raises:
        UserError: in one sentence, what is wrong. What was done before it is kept, and said.
    """
    try:
        with closing(source):
            _run(spec, LatestFrames(source) if source.live else source, options, seconds, frames)
    except UserError:
        if options.debug:
            traceback.print_exc()
        raise
    return 0


def _run(
    spec: TrackerSpec, source: FrameSource, options: argparse.Namespace, seconds: float | None, count: int | None
) -> None:
    window = _window_opens(options)
    results = VideoResults(_results_folder(spec, options), source.name, options.density)
    views = make_views(source, options, window)
    following = _Following(source, Views([results, *views]))
    with closing(iter(source)) as frames:
        try:
            first, boxes = _first_frame(source, frames, options)
            _seed(spec.seed)
            names = ["target"] if len(boxes) == 1 else [str(number + 1) for number in range(len(boxes))]
            target_trackers = [TargetTracker(spec.make(), name) for name in names]
            results.head = _head(spec, source, first, boxes, tracker_device(target_trackers[0].tracker))
            complete = following.go(target_trackers, boxes, _limited(chain([first], frames), seconds, count))
        except BaseException as failure:
            _close_after_failure(following, failure)
            _report(following, results, views, sys.stderr, "kept")
            raise
        try:
            following.view.close(complete)
        finally:  # also where the end of the film found the disk full
            _report(following, results, views, sys.stdout, "results")


def make_views(source: FrameSource, options: argparse.Namespace, window: bool) -> list[View]:
    """What the run is shown to, beside its results; `window` says whether one can be opened.

    Raises:
        UserError: what is to be written cannot be.
    """
    views: list[View] = []
    read = getattr(source, "path", None)
    for name in ("save_video", "save_images"):
        written = getattr(options, name)
        if written is not None and read is not None and written.resolve() == read.resolve():
            raise UserError(f"--{name} {written} would replace what is read; choose another name")
    if options.save_video is not None:
        views.append(VideoView(options.save_video, source.fps, options.density))
    if options.save_images is not None:
        views.append(ImageFolderView(options.save_images, options.density))
    if window:
        views.append(WindowView(source.name, options.density))
        print(HELP)
    if options.visdom:
        views.append(VisdomView(options.visdom_server, options.visdom_port))
    return views


def _window_opens(options: argparse.Namespace) -> bool:
    problem = "--no_display was given" if options.no_display else why_no_window()
    if problem and not options.box:
        raise UserError(f"there is no box to start from, and none can be drawn since {problem}: give --box x y w h")
    if problem and not options.no_display:
        print(f"no window is opened: {problem}")
    return problem is None


def _results_folder(spec: TrackerSpec, options: argparse.Namespace) -> Path:
    return options.out if options.out is not None else spec.results_folder(get_path("results")) / "videos"


def _seed(seed: int) -> None:
    """As a benchmark's sequence starts, so that the same frames give the same boxes."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _first_frame(
    source: FrameSource, frames: Iterator[Frame], options: argparse.Namespace
) -> tuple[Frame, list[np.ndarray]]:
    """The frame to start from and the boxes in it: the options', or drawn with the mouse."""
    if not options.box:
        shown: list[Frame] = []

        def images() -> Iterator[np.ndarray]:
            for frame in frames:
                shown[:] = [frame]
                yield frame.image

        _, boxes = choose_boxes(source.name, images(), source.live)
        return shown[0], boxes
    first = next(frames)
    boxes = []
    for number, box in enumerate(options.box, start=1):
        try:
            boxes.append(check_first_box(np.array(box), first.image))
        except UserError as error:
            raise error if len(options.box) == 1 else UserError(f"object {number}: {error}") from None
    return first, boxes


def _limited(frames: Iterable[Frame], seconds: float | None, count: int | None) -> Iterator[Frame]:
    start = None
    for number, frame in enumerate(frames, start=1):
        if number == 2:  # before it, boxes may have been drawn for a while
            start = frame.time
        if seconds is not None and start is not None and frame.time is not None and frame.time - start >= seconds:
            return
        yield frame
        if number == count:  # without waiting for one more
            return


def _head(spec: TrackerSpec, source: FrameSource, first: Frame, boxes: list[np.ndarray], device: str) -> dict[str, Any]:
    return {
        "source": str(source),
        "size": [first.image.shape[1], first.image.shape[0]],
        "fps": source.fps,
        "first_boxes": boxes,
        "made_with": spec.made_with(),
        "run": provenance(device=device),
    }


class _Following:
    """Trackers on one source, each on its object, watched by one view."""

    def __init__(self, source: FrameSource, view: View):
        self.view = view
        self.frames = 0
        self.seconds = 0.0  # in the trackers
        self._source = source

    def go(self, target_trackers: list[TargetTracker], boxes: list[np.ndarray], frames: Iterable[Frame]) -> bool:
        """Track through the frames; whether that was to their end, and not stopped by the view's user."""
        source = self._source
        with tqdm(total=source.total, unit="frame", desc=source.name, disable=None) as bar:
            for frame in frames:
                request = self.view.request()
                if self.frames:
                    targets = [target_tracker.track(frame.image, request) for target_tracker in target_trackers]
                else:
                    pairs = zip(target_trackers, boxes, strict=True)
                    targets = [target_tracker.initialize(frame.image, box, request) for target_tracker, box in pairs]
                self.seconds += sum(target.seconds for target in targets)
                tracked = TrackedFrame(source.name, frame.index, source.total, frame.image, tuple(targets), frame.time)
                going_on = self.view.show(tracked)
                self.frames += 1
                bar.update()
                if not going_on:
                    return False
        return True


def _close_after_failure(following: _Following, failure: BaseException) -> None:
    """Close what was written. What failed first is what the user is told: a full disk fails again here."""
    try:
        following.view.close(complete=False)
    except UserError as error:
        if not isinstance(failure, UserError):
            print(f"warning: {error}", file=sys.stderr)


def _report(following: _Following, results: VideoResults, views: list[View], stream: TextIO, what: str) -> None:
    """What was done, how fast, and where it is."""
    frames = len(results.frames)
    if not frames:
        return
    rate = following.frames / following.seconds if following.seconds > 0 else 0.0
    print(f"{frames} frames, tracked at {rate:.1f} frames per second (reading and drawing excluded)", file=stream)
    places = [f"boxes of {frames} frames in {results.text_files()}"]
    for view in views:
        if isinstance(view, VideoView) and view.writer.frames:
            places.append(f"{view.writer.frames} frames of video in {view.writer.path}")
        elif isinstance(view, ImageFolderView):
            places.append(f"pictures in {view.folder}")
    print(f"{what}: {'; '.join(places)}", file=stream)
