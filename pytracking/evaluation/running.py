"""Running a tracker over sequences, one at a time or on many processes. Finished sequences are not run again."""

import os
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltr.cluster.connection import Cluster
from ltr.common.errors import UserError
from ltr.common.provenance import device_name, file_hash, provenance
from pytracking.evaluation.cluster_run import on_cluster
from pytracking.evaluation.datasets import TrackingSequence
from pytracking.evaluation.recording import SequenceRecorder, SequenceWriter
from pytracking.evaluation.report import Progress, RunReport
from pytracking.evaluation.results import RUN_FOLDER, ResultFolder
from pytracking.evaluation.sequence_run import FrameError, failure, sequence_results, tracker_device
from pytracking.evaluation.workers import SequenceWork, on_this_machine, run_on_workers
from pytracking.factory import Tracker, tracker_settings
from pytracking.tracker.base import BaseTracker
from pytracking.view.base import View, Views
from pytracking.view.recording import VideoView


@dataclass(frozen=True)
class TrackerSpec:
    """Which tracker to run, in a form that can be sent to another process.

    Attributes:
        tracker, param, device, seed, overrides: the arguments of :func:`pytracking.Tracker`.
        run_id: number of the run, for a results folder of its own.
        save_as: name of the results folder in place of the parameter's, so that variations of the settings stand side
            by side.
        display_name: name in the tables and plots of `pytracking.analysis.plot_results`; None for the folder's.

    Raises:
        UserError: if ``save_as`` cannot name a folder, or would be read as a name with a run number.
    """

    tracker: str
    param: str
    device: str | None = None
    seed: int = 0
    overrides: tuple[str, ...] = ()
    run_id: int | None = None
    save_as: str | None = None
    display_name: str | None = None

    def __post_init__(self):
        name = self.save_as
        if name is None:
            return
        if not re.fullmatch(r"\w[\w.+=,-]*", name):
            raise UserError(
                f"--save_as {name!r} is no name for a results folder: "
                "take letters, digits and any of _ . + = , - and start with a letter, a digit or _"
            )
        numbered = RUN_FOLDER.fullmatch(name)
        if numbered:
            raise UserError(
                f"--save_as {name} would be read as run {numbered['run']} of {numbered['param']}: "
                f"give --save_as {numbered['param']} --runid {int(numbered['run'])}, or another name"
            )

    def make(self) -> BaseTracker:
        """Make the tracker."""
        return Tracker(self.tracker, self.param, device=self.device, seed=self.seed, overrides=self.overrides)

    def settings(self) -> Any:
        """The tracker's settings, a dataclass."""
        return tracker_settings(self.tracker, self.param, self.overrides)

    def made_with(self) -> dict[str, Any]:
        """All that decides the tracker's boxes: names, seed, settings, and the weights by the hash of their file."""
        settings = self.settings()
        if hasattr(settings, "settled"):
            settings = settings.settled()
        return {
            "tracker": self.tracker,
            "param": self.param,
            "seed": self.seed,
            "settings": settings,
            "weights": _weight_hashes(settings),
        }

    def results_folder(self, results: Path) -> Path:
        """{results}/{tracker}/{param or save_as}[_{run:03d}]"""
        run = "" if self.run_id is None else f"_{self.run_id:03d}"
        return Path(results) / self.tracker / f"{self.save_as or self.param}{run}"


def _weight_hashes(settings: Any) -> dict[str, str]:
    """By file name, the hashes of the weights that a tracker with these settings loads; OpenCV's trackers have none."""
    hashes = {}
    for file in settings.weight_files() if hasattr(settings, "weight_files") else []:
        try:
            hashes[Path(file).name] = file_hash(file)
        except OSError as error:
            raise UserError(f"the weights {file} cannot be read: {error.strerror}") from error
    return hashes


def run_dataset(
    sequences: Iterable[TrackingSequence],
    spec: TrackerSpec,
    results: str | os.PathLike,
    *,
    problems: Mapping[str, Exception] | None = None,
    threads: int = 0,
    cluster: Cluster | None = None,
    debug: int = 0,
    integer: bool = False,
    overwrite: bool = False,
    density: bool = False,
    view: View | None = None,
) -> RunReport:
    """Run a tracker over sequences and write its results, see :mod:`pytracking.evaluation.results`.

    If a sequence fails, it is reported, and the others still finish. The global random generators are seeded before
    each sequence; results do not depend on the order of sequences or on ``threads``, provided that the tracker's
    ``initialize`` starts afresh.

    Args:
        problems: sequences that cannot be run, with the reason: reported as failed.
        threads: number of worker processes, each with its share of the cores; 0 or 1 runs in this process.
        cluster: runs on its workers, with `threads` of them at most (0: as many as there is room for), without a view.
        debug: 1 writes {sequence}.mp4 with boxes drawn, runs in this process, and stops with a traceback at the first
            failure.
        integer: write truncated integers, as PyTracking does.
        overwrite: run finished sequences again; results made with other settings are moved aside.
        density: write p(y | x) of every frame too, see :mod:`pytracking.evaluation.density_log`; a finished sequence
            without that file is run again.
        view: shown every frame, and left open. With a view, sequences run in this process.

    Raises:
        UserError: if the results folder cannot be used, the tracker cannot be made, or the cluster has no room for it.
        KeyboardInterrupt: after Ctrl-C, and a line that says which results are kept.
    """
    if cluster is not None and (debug or view is not None):
        raise UserError("--cluster tracks on other machines, without --visdom and --debug")
    made_with = spec.made_with()
    folder = ResultFolder(spec.results_folder(Path(results)), made_with, integer)
    folder.prepare(overwrite)
    report = RunReport(folder.path, failed={name: str(problem) for name, problem in (problems or {}).items()})
    waiting = []
    for sequence in sequences:
        finished, reason = (False, "") if overwrite else folder.is_finished(sequence, density)
        if reason:
            print(f"{sequence.name} is run again: {reason}")
        if finished:
            report.skipped.append(sequence.name)
        else:
            waiting.append(sequence)
    if not waiting:
        return report

    workers = None
    if cluster is not None:
        workers = on_cluster(cluster, spec, made_with.get("weights", {}), density, threads)
    elif threads > 1 and not debug and view is None:
        workers = on_this_machine(SequenceWork(density), spec, threads)
    devices: list[str] = []

    def on_ready(device: str) -> None:
        about = provenance(threads=threads, sequences=[s.name for s in waiting])
        where = {} if cluster is None else {"cluster": cluster.about()}
        folder.add_record({**about, **where, "device": device})
        devices.append(device)
        if len(devices) == 2:
            progress.write(f"workers compute by {' and by '.join(devices)}: their boxes may differ in the last digits")

    progress = Progress(waiting, report)
    with closing(progress):
        try:
            if workers is not None:
                with closing(SequenceRecorder(folder, progress, density, overwrite)) as recorder:
                    run_on_workers(waiting, workers, recorder, on_ready)
            else:
                _run_here(waiting, spec, folder, progress, on_ready, debug, density, view, overwrite)
        except KeyboardInterrupt:
            progress.write(
                f"{len(report.finished)} of {len(waiting)} sequences were finished and stay in {folder.path}; "
                "the same command continues there"
            )
            raise
    return report


def _run_here(
    sequences: list[TrackingSequence],
    spec: TrackerSpec,
    folder: ResultFolder,
    progress: Progress,
    on_ready: Callable[[str], None],
    debug: int,
    density: bool,
    view: View | None,
    again: bool,
) -> None:
    tracker = spec.make()
    on_ready(device_name(tracker_device(tracker)))
    for sequence in sequences:
        writer = SequenceWriter(folder, sequence, density, again)
        try:
            with writer, _views(folder.path / f"{sequence.name}.mp4" if debug else None, view) as views:
                if writer.is_finished:
                    progress.advance(len(sequence))
                else:
                    for frame in sequence_results(sequence, tracker, spec.seed, density, views):
                        writer.add(frame)
                        progress.advance(1)
                seconds = writer.finish()
        except FrameError as error:
            if debug:
                traceback.print_exc()
            progress.fail(sequence.name, failure(sequence, error), len(sequence) - writer.frames)
            if debug:
                return
            tracker = spec.make()  # the failed one may be in any state
        except UserError as error:
            progress.fail(sequence.name, str(error), len(sequence) - writer.frames)
        else:
            progress.finish(sequence.name, len(sequence), seconds)


@contextmanager
def closing_view(view: View) -> Iterator[View]:
    """Closes the view at the end, and tells it whether the run was complete."""
    complete = False
    try:
        yield view
        complete = True
    finally:
        view.close(complete)


@contextmanager
def _views(video: Path | None, view: View | None) -> Iterator[View]:
    """The view of all sequences and, if `video` names its file, a video of this one."""
    shared = [view] if view else []
    if video is None:
        yield Views(shared)
        return
    with closing_view(VideoView(video, enlarged=True)) as own:
        yield Views([own, *shared])
