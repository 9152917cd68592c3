"""Running a tracker on a video, a folder of images, a stream or a camera."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.provenance import provenance
from ltr.common.seeds import seed_everything
from pytracking.evaluation.running import TrackerSpec
from pytracking.evaluation.sequence_run import tracker_device
from pytracking.evaluation.typed_boxes import check_typed_box
from pytracking.evaluation.video_export import ExportView, describe_objects
from pytracking.evaluation.video_loop import VideoRun
from pytracking.evaluation.video_plan import BoxAt, RunPlan, make_plan
from pytracking.evaluation.video_results import VideoResults
from pytracking.evaluation.video_targets import Targets
from pytracking.utils.frame_selection import Part, Selection
from pytracking.utils.live_sources import LatestFrames
from pytracking.utils.video import Frame, FrameSource
from pytracking.view.base import TargetTracker, View, Views
from pytracking.view.later_recording import LaterVideoView
from pytracking.view.live.visdom_view import VisdomView
from pytracking.view.recording import ImageFolderView, VideoView
from pytracking.view.window import RUN_HELP, WindowView, choose_boxes, why_no_window


@dataclass(frozen=True)
class VideoRunOptions:
    """What is tracked in a video, and what is recorded and shown.

    Attributes:
        boxes: x, y, w, h in the first frame, one for each object; None to draw them with the mouse.
        boxes_at: boxes in other frames, which start an object or put it right.
        selection: of the source's frames.
        both_ways: from each object's first box to the end, and back to the beginning.
        seconds, frames: the run ends after this much of the source.
        out: folder of the results; None for {results}/{tracker}/{param}/videos.
        density: record p(y | x) of each frame, and draw it into all that is shown.
        save_video: write this video file, with the boxes drawn.
        save_images: write each frame to this folder, with the boxes drawn.
        window: open a window.
        visdom: host and port of the live view's server; None for no live view.
        ids, labels: of the objects, in the order of their boxes, for the record and exports; one label holds for all.
        export: formats of annotation tools that the results are also written in, see `pytracking.annotation.formats`.
    """

    boxes: Sequence[Sequence[float]] | None = None
    boxes_at: Sequence[BoxAt] = ()
    selection: Selection = Selection()
    both_ways: bool = False
    seconds: float | None = None
    frames: int | None = None
    out: Path | None = None
    density: bool = False
    save_video: Path | None = None
    save_images: Path | None = None
    window: bool = True
    visdom: tuple[str, int] | None = None
    ids: Sequence[int] = ()
    labels: Sequence[str] = ()
    export: Sequence[str] = ()


@dataclass(frozen=True)
class VideoOutcome:
    """What a run on a video came to.

    Attributes:
        frames: number of tracked frames.
        seconds: the trackers' time.
        lost: number of frames in which a target was lost.
        boxes: the files of the boxes, in words.
    """

    frames: int
    seconds: float
    lost: int
    boxes: str

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        return (
            f"{self.frames} frames, {self.frames_per_second:.1f} frames per second, target lost in {self.lost}: "
            f"{self.boxes}"
        )


def run_video(
    spec: TrackerSpec, source: FrameSource, options: VideoRunOptions, quiet: bool = False, bar: bool = True
) -> VideoOutcome:
    """Track the objects through a source, write the results, report on the console, and close the source.

    Of a live source the tracker takes the newest frame each time: if it is slower than the source it misses frames, but
    never falls behind.

    Args:
        quiet: print no report of a run that went well; a progress bar disappears at its end.
        bar: show a progress bar, on a terminal.

    Raises:
        UserError: if a box, the source, or something to be written cannot be used. Results up to the error are kept.
    """
    with closing(source):
        source = chosen_frames(source, options)
        return _run(spec, LatestFrames(source) if source.live else source, options, quiet, bar)


def chosen_frames(source: FrameSource, options: VideoRunOptions) -> FrameSource:
    """The source, or the part of it that the options choose.

    Raises:
        UserError: see :class:`Part`.
    """
    if isinstance(source, Part) or not (options.selection or options.boxes_at or options.both_ways):
        return source
    return Part(source, options.selection)


def describe_choice(source: FrameSource, options: VideoRunOptions) -> dict[str, Any] | None:
    """The frames and boxes that the options choose, for the record of a run; None for all frames in their order."""
    if not isinstance(source, Part):
        return None
    direction = "both ways" if options.both_ways else "backward" if options.selection.backward else "forward"
    boxes_at = [
        {"frame": source.find(each.place, str(each)), "object": each.number or 1, "box": each.box}
        for each in options.boxes_at
    ]
    frames = sorted((source.frames[0], source.frames[-1]))
    return {"frames": frames, "stride": options.selection.stride, "direction": direction, "boxes_at": boxes_at}


def _run(spec: TrackerSpec, source: FrameSource, options: VideoRunOptions, quiet: bool, bar: bool) -> VideoOutcome:
    can_show = _can_open_window(options)
    results = VideoResults(results_folder(spec, options), source, options.density)
    views = make_views(source, options)
    if options.export:
        views.append(ExportView(results, options.export))
    window = WindowView(source.name, options.density) if can_show else None
    if window:
        print(RUN_HELP)
    run = VideoRun(source, Views([results, *views]), window, bar, keep_bar=not quiet)
    plan = make_plan(source, options.boxes or (), options.boxes_at, options.both_ways)
    with closing(source.read(plan.passes[0]) if isinstance(source, Part) else iter(source)) as frames:
        try:
            first = _first_frame(source, frames, options, plan)
            boxes = plan.first_boxes()
            seed_everything(spec.seed)  # as for a sequence of a benchmark: the same frames give the same boxes
            names = ["target"] if len(boxes) == 1 else [str(number + 1) for number in range(len(boxes))]
            trackers = [TargetTracker(spec.make(), name) for name in names]
            described = describe_objects(names, options.ids, options.labels)
            results.head = _head(spec, source, first, boxes, described, tracker_device(trackers[0].tracker))
            results.head["selection"] = describe_choice(source, options)
            begin = _limited(chain([first], frames), options.seconds, options.frames)
            passes = chain([begin], (source.read(frames) for frames in plan.passes[1:] if isinstance(source, Part)))
            complete = run.track(Targets(trackers), passes, plan) and not _broke_off(source)
        except BaseException as failure:
            _close_after_failure(run, failure)
            _report(run, results, views, sys.stderr, "kept")
            raise
        try:
            run.close(complete)
        finally:  # also if the disk is full at the end of the video
            if not quiet:
                _report(run, results, views, sys.stdout, "results")
    return VideoOutcome(results.frames, run.seconds, results.lost, results.text_files())


def make_views(source: FrameSource, options: VideoRunOptions) -> list[View]:
    """The views of a run besides its results and its window.

    Raises:
        UserError: if a file or folder cannot be written.
    """
    views: list[View] = []
    read = getattr(source, "path", None)
    for name, written in (("save_video", options.save_video), ("save_images", options.save_images)):
        if written is not None and read is not None and written.resolve() == read.resolve():
            raise UserError(f"--{name} {written} would replace what is read; choose another name")
    if options.save_video is not None and isinstance(source, Part) and (options.both_ways or source.frames.step < 0):
        step = abs(source.frames.step)
        views.append(LaterVideoView(options.save_video, source.read, step, source.fps, options.density))
    elif options.save_video is not None:
        views.append(VideoView(options.save_video, source.fps, options.density))
    if options.save_images is not None:
        views.append(ImageFolderView(options.save_images, options.density))
    if options.visdom is not None:
        views.append(VisdomView(*options.visdom))
    return views


def _can_open_window(options: VideoRunOptions) -> bool:
    problem = why_no_window() if options.window else "--no_display was given"
    if problem and not options.boxes and not options.boxes_at:
        raise UserError(f"there is no box to start from, and none can be drawn since {problem}: give --box x y w h")
    if problem and options.window:
        print(f"no window is opened: {problem}")
    return problem is None


def results_folder(spec: TrackerSpec, options: VideoRunOptions) -> Path:
    """The folder of the results of this run."""
    return options.out if options.out is not None else spec.results_folder(get_path("results")) / "videos"


def _first_frame(source: FrameSource, frames: Iterator[Frame], options: VideoRunOptions, plan: RunPlan) -> Frame:
    """The frame to start from. The boxes in it, given by the options or drawn with the mouse, go into the plan."""
    if plan.given and not options.boxes:
        return _next(source, frames)
    if not options.boxes:
        shown: list[Frame] = []

        def images() -> Iterator[np.ndarray]:
            for frame in frames:
                shown[:] = [frame]
                yield frame.image

        _, drawn = choose_boxes(source.name, images(), source.live)
        plan.start(shown[0].index, drawn)
        return shown[0]
    first = _next(source, frames)
    boxes = []
    for number, box in enumerate(options.boxes, start=1):
        try:
            boxes.append(check_typed_box(box, first.image))
        except UserError as error:
            raise error if len(options.boxes) == 1 else UserError(f"object {number}: {error}") from None
    plan.start(first.index, boxes)
    return first


def _next(source: FrameSource, frames: Iterator[Frame]) -> Frame:
    first = next(frames, None)
    if first is None:
        raise UserError(f"none of the selected frames of {source} can be read")
    return first


def _broke_off(source: FrameSource) -> bool:
    """Whether a file on another machine could not be read to its end."""
    return getattr(source.source if isinstance(source, Part) else source, "broke_off", False)


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


def _head(
    spec: TrackerSpec,
    source: FrameSource,
    first: Frame,
    boxes: list[np.ndarray],
    objects: list[dict[str, Any]],
    device: str,
) -> dict[str, Any]:
    whole = source.source if isinstance(source, Part) else source
    return {
        "source": str(source),
        "source_frames": source.count if isinstance(source, Part) else source.total,
        "size": [first.image.shape[1], first.image.shape[0]],
        "fps": whole.fps,
        "first_boxes": boxes,
        "objects": objects,
        "made_with": spec.made_with(),
        "run": provenance(device=device),
    }


def _close_after_failure(run: VideoRun, failure: BaseException) -> None:
    """Close the views. The user is told the first failure only: on a full disk, closing fails again."""
    try:
        run.close(complete=False)
    except UserError as error:
        if not isinstance(failure, UserError):
            print(f"warning: {error}", file=sys.stderr)


def _report(run: VideoRun, results: VideoResults, views: list[View], stream: TextIO, what: str) -> None:
    """Print how many frames were tracked, how fast, and where the results are."""
    frames = results.frames
    if not frames:
        return
    rate = run.frames / run.seconds if run.seconds > 0 else 0.0
    print(f"{frames} frames, tracked at {rate:.1f} frames per second (reading and drawing excluded)", file=stream)
    written = [f"boxes of {frames} frames in {results.text_files()}"]
    for view in views:
        if isinstance(view, VideoView) and view.writer.frames:
            written.append(f"{view.writer.frames} frames of video in {view.writer.path}")
        elif isinstance(view, ImageFolderView):
            written.append(f"pictures in {view.folder}")
        elif isinstance(view, ExportView):
            written += [str(file) for file in view.files]
    print(f"{what}: {'; '.join(written)}", file=stream)
