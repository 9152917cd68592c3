"""Running a tracker on several videos, one after another. What is finished is not run again; a failure stops only its
own video."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tqdm import tqdm

from ltr.common.errors import UserError
from pytracking.annotation.formats import export_tracks
from pytracking.annotation.video_record import read_record
from pytracking.evaluation.finished_videos import EarlierRun, earlier_run
from pytracking.evaluation.running import TrackerSpec
from pytracking.evaluation.video_run import VideoOutcome, VideoRunOptions, chosen_frames, results_folder, run_video
from pytracking.utils.video_sources import open_source


@dataclass(frozen=True)
class VideoJob:
    """One of several videos.

    Attributes:
        video: file, folder or address.
        options: of its run.
        problem: why it cannot be run, in one sentence; it then counts as failed.
        left_out: why it is not to be run, in one sentence; it then is listed.
    """

    video: str
    options: VideoRunOptions
    problem: str | None = None
    left_out: str | None = None


@dataclass
class VideosReport:
    """The outcome of a run on several videos, by their names on the command line."""

    finished: dict[str, VideoOutcome] = field(default_factory=dict)
    skipped: dict[str, Path] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """A table of the videos of this run, and a line for each that is not in it."""
        lines = []
        if self.finished:
            width = max(len("video"), *map(len, self.finished))
            lines.append(f"{'video':{width}}  frames  frames/s  lost  boxes")
            lines += [
                f"{name:{width}}  {outcome.frames:6d}  {outcome.frames_per_second:8.1f}  {outcome.lost:4d}  "
                f"{outcome.boxes}"
                for name, outcome in self.finished.items()
            ]
        lines += [f"finished before: {name}: {path}" for name, path in self.skipped.items()]
        lines += [f"left out: {name}: {cause}" for name, cause in self.left_out.items()]
        lines += [f"failed: {name}: {cause}" for name, cause in self.failed.items()]
        if self.skipped:
            lines.append("--overwrite runs the finished ones again")
        return "\n".join(lines)


def run_videos(
    spec: TrackerSpec, jobs: Sequence[VideoJob], overwrite: bool = False, debug: bool = False
) -> VideosReport:
    """Track through each video, see :func:`run_video`, and print a line when it ends.

    Args:
        overwrite: run finished videos again.
        debug: print the traceback of a failure.

    Raises:
        UserError: if the tracker cannot be made.
        KeyboardInterrupt: after Ctrl-C, and the summary of what is kept.
    """
    report = VideosReport()
    if any(not job.problem and not job.left_out for job in jobs):
        spec.make()  # a tracker that cannot be made is no failure of every video; its network stays loaded
    with tqdm(total=len(jobs), unit="video", disable=None) as bar:
        try:
            for number, job in enumerate(jobs, start=1):
                line = _run_one(spec, job, report, overwrite, debug)
                tqdm.write(f"[{number}/{len(jobs)}] {line}")
                bar.update()
        except KeyboardInterrupt:
            tqdm.write(report.summary())
            tqdm.write("the same command continues with the video that was interrupted")
            raise
    return report


def _run_one(spec: TrackerSpec, job: VideoJob, report: VideosReport, overwrite: bool, debug: bool) -> str:
    """Run one video, add it to the report, and describe the outcome."""
    if job.left_out:
        report.left_out[job.video] = job.left_out
        return f"{job.video} is left out: {job.left_out}"
    try:
        if job.problem:
            raise UserError(job.problem)
        source = chosen_frames(open_source(job.video), job.options)
        earlier = (
            EarlierRun() if overwrite else earlier_run(results_folder(spec, job.options), source, spec, job.options)
        )
        if earlier.finished is not None:
            source.close()
            export_tracks(
                read_record(earlier.finished), list(job.options.export), earlier.finished.parent, earlier.finished.stem
            )
            report.skipped[job.video] = earlier.finished
            return f"{job.video} was finished before"
        if earlier.reason:
            tqdm.write(f"{job.video} is run again: {earlier.reason}")
        outcome = run_video(spec, source, job.options, quiet=True)
    except UserError as error:
        if debug:
            traceback.print_exc()
        report.failed[job.video] = str(error)
    except Exception as error:  # a bug in the tracker costs this video only
        if debug:
            traceback.print_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}; --debug 1 shows the traceback"
        report.failed[job.video] = f"{type(error).__name__}: {str(error) or 'no message'} ({where})"
    else:
        report.finished[job.video] = outcome
        return f"{job.video}: {outcome}"
    return f"{job.video} failed: {report.failed[job.video]}"


def in_folders(options: VideoRunOptions, name: str) -> VideoRunOptions:
    """The options of one of several videos, where --save_video and --save_images name folders."""
    video, images = options.save_video, options.save_images
    return replace(
        options,
        save_video=video and video / f"{name}.mp4",
        save_images=images and images / name,
    )
