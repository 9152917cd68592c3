"""Running a tracker on several videos, one after another or on many processes. What is finished is not run again, and a
failure stops only its own video."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ltr.common.errors import UserError
from ltr.common.secrets_in_text import without_secrets
from pytracking.annotation.formats import export_tracks
from pytracking.annotation.video_record import read_record
from pytracking.evaluation.finished_videos import EarlierRun, earlier_run
from pytracking.evaluation.running import TrackerSpec
from pytracking.evaluation.video_run import VideoOutcome, VideoRunOptions, chosen_frames, results_folder, run_video
from pytracking.evaluation.workers import KeptTracker, on_this_machine, run_on_workers
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

    @property
    def name(self) -> str:
        """The video, for messages."""
        return without_secrets(self.video)

    def __len__(self) -> int:
        return 1  # of unknown length, as all are


@dataclass(frozen=True)
class _Ended:
    """What became of one video: the line that says it, and one of the others."""

    line: str
    outcome: VideoOutcome | None = None
    earlier: Path | None = None
    left_out: str = ""
    failure: str = ""


@dataclass
class VideosReport:
    """The outcome of a run on several videos, by their names on the command line."""

    finished: dict[str, VideoOutcome] = field(default_factory=dict)
    skipped: dict[str, Path] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, video: str, ended: _Ended) -> None:
        """Take what became of a video."""
        if ended.outcome is not None:
            self.finished[video] = ended.outcome
        elif ended.earlier is not None:
            self.skipped[video] = ended.earlier
        elif ended.left_out:
            self.left_out[video] = ended.left_out
        else:
            self.failed[video] = ended.failure

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
    spec: TrackerSpec, jobs: Sequence[VideoJob], overwrite: bool = False, debug: bool = False, threads: int = 0
) -> VideosReport:
    """Track through each video, see :func:`run_video`, and print a line when it ends.

    Args:
        overwrite: run finished videos again.
        debug: print the traceback of a failure.
        threads: number of worker processes, without windows; 0 or 1 runs in this process.

    Raises:
        UserError: if the tracker cannot be made.
        KeyboardInterrupt: after Ctrl-C, and the summary of what is kept.
    """
    report = VideosReport()
    with closing(_Progress(len(jobs), report)) as progress:
        try:
            if threads > 1:
                work = _VideoWork(spec, overwrite, debug)
                hidden = [replace(job, options=replace(job.options, window=False, visdom=None)) for job in jobs]
                run_on_workers(hidden, on_this_machine(work, spec, threads), progress, lambda device: None)
            else:
                if any(not job.problem and not job.left_out for job in jobs):
                    spec.make()  # if it cannot be made, no video is to blame; its network stays loaded
                for job in jobs:
                    progress.finish(job, _run_one(spec, job, overwrite, debug, bar=True))
        except KeyboardInterrupt:
            progress.write(report.summary())
            progress.write("the same command continues with what is not finished")
            raise
    return report


class _Progress:
    """A progress bar over all videos, and a line for each that ends."""

    def __init__(self, count: int, report: VideosReport):
        self._count, self._report, self._ended = count, report, 0
        self._bar = tqdm(total=count, unit="video", disable=None)

    def begin(self, job: VideoJob) -> bool:
        return True

    def report(self, job: VideoJob, content: list[Any]) -> None:
        """Nothing: the length of a video is not known before its end."""

    def again(self, job: VideoJob, cause: str) -> None:
        self.write(f"{job.name} is run again: {cause}")

    def finish(self, job: VideoJob, ended: _Ended) -> None:
        self._report.add(job.name, ended)
        self._ended += 1
        self.write(f"[{self._ended}/{self._count}] {ended.line}")
        self._bar.update()

    def fail(self, job: VideoJob, cause: str, died: bool) -> None:
        if died:
            cause += "; its boxes so far are in a .partial.txt"
        self.finish(job, _failed(job.name, cause))

    def write(self, line: str) -> None:
        tqdm.write(line)

    def close(self) -> None:
        self._bar.close()


@dataclass(frozen=True)
class _VideoWork:
    """What a worker does with a video."""

    spec: TrackerSpec
    overwrite: bool
    debug: bool

    def __call__(self, kept: KeptTracker, report: Callable[[Any], None], job: VideoJob) -> _Ended:
        # The run makes its own trackers, one for each object; their network is loaded once, with the kept one.
        return _run_one(self.spec, job, self.overwrite, self.debug, bar=False)


def _run_one(spec: TrackerSpec, job: VideoJob, overwrite: bool, debug: bool, bar: bool) -> _Ended:
    """Run one video, and say what became of it."""
    if job.left_out:
        return _Ended(f"{job.name} is left out: {job.left_out}", left_out=job.left_out)
    try:
        if job.problem:
            raise UserError(job.problem)
        source = chosen_frames(open_source(job.video), job.options)
        folder = results_folder(spec, job.options)
        earlier = EarlierRun() if overwrite else earlier_run(folder, source, spec, job.options)
        file = earlier.finished
        if file is not None:
            source.close()
            if job.options.export:
                export_tracks(read_record(file), list(job.options.export), file.parent, file.stem)
            return _Ended(f"{job.name} was finished before", earlier=file)
        if earlier.reason:
            tqdm.write(f"{job.name} is run again: {earlier.reason}")
        outcome = run_video(spec, source, job.options, quiet=True, bar=bar)
        return _Ended(f"{job.name}: {outcome}", outcome)
    except UserError as error:
        if debug:
            traceback.print_exc()
        return _failed(job.name, str(error))
    except Exception as error:  # a bug in the tracker costs this video only
        if debug:
            traceback.print_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}; --debug 1 shows the traceback"
        return _failed(job.name, f"{type(error).__name__}: {str(error) or 'no message'} ({where})")


def _failed(video: str, cause: str) -> _Ended:
    return _Ended(f"{video} failed: {cause}", failure=cause)


def in_folders(options: VideoRunOptions, name: str) -> VideoRunOptions:
    """The options of one of several videos, where --save_video and --save_images name folders."""
    video, images = options.save_video, options.save_images
    return replace(
        options,
        save_video=video and video / f"{name}.mp4",
        save_images=images and images / name,
    )
