"""Running a tracker over one sequence."""

import traceback
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np

from ltr.common.errors import UserError
from ltr.common.images import read_image
from ltr.common.seeds import seed_everything
from pytracking.evaluation.datasets import TrackingSequence
from pytracking.evaluation.density_log import DensityLog, density_file
from pytracking.evaluation.results import PartialResult, ResultFolder
from pytracking.evaluation.typed_boxes import box_doubt
from pytracking.tracker.base import BaseTracker, check_first_box
from pytracking.utils.video import warn
from pytracking.view.base import NO_REQUEST, Request, TargetTracker, TrackedFrame, View, Views


class FrameError(Exception):
    """A sequence failed at the frame `index`; the failure itself is the ``__cause__``."""

    def __init__(self, index: int):
        super().__init__(index)
        self.index = index


def run_sequence(
    sequence: TrackingSequence, tracker: BaseTracker, request: Callable[[], Request] = lambda: NO_REQUEST
) -> Generator[TrackedFrame, None, None]:
    """Track through a sequence and yield frame after frame, boxes in the tracker's coordinates.

    The next image is read while the tracker works on this one, and reading does not count in a target's ``seconds``; it
    takes its share of the cores if all of them are busy tracking.

    Args:
        request: called before each frame; says what is needed of it besides the box.

    Raises:
        FrameError: if an image cannot be read (caused by ImageReadError), the first box cannot be tracked (UserError),
            or the tracker fails or returns a box that is not finite.
    """
    target_tracker = TargetTracker(tracker)
    with closing(_read_ahead(sequence.frames)) as images:
        for index in range(len(sequence)):
            annotated = sequence.to_tracker(sequence.ground_truth[index])
            truth = annotated if np.isfinite(annotated).all() and (annotated[2:] > 0).all() else None
            try:
                image = next(images)
                if index == 0:
                    box = check_first_box(sequence.first_box, image)
                    target = target_tracker.initialize(image, box, request(), truth)
                else:
                    target = target_tracker.track(image, request(), truth)
            except Exception as error:
                raise FrameError(index) from error
            yield TrackedFrame(sequence.name, index, len(sequence), image, (target,))


def _read_ahead(paths: list[Path]) -> Generator[np.ndarray, None, None]:
    with ThreadPoolExecutor(1, thread_name_prefix="read_image") as pool:
        pending = pool.submit(read_image, paths[0])
        for following in [*paths[1:], None]:
            image = pending.result()
            if following is not None:
                pending = pool.submit(read_image, following)
            yield image


def run_and_save(
    sequence: TrackingSequence,
    tracker: BaseTracker,
    seed: int,
    folder: ResultFolder,
    advance: Callable[[int], None],
    density: bool = False,
    view: View | None = None,
    again: bool = False,
) -> float:
    """Run one sequence, write its result, and return the tracker's seconds. If another process has finished it just
    now, its result is taken.

    Args:
        seed: of the global random generators.
        advance: called with the number of frames that are done, after each.
        density: write p(y | x) of each frame too.
        view: shown each frame, and left open.
        again: also if its result is there.

    Raises:
        FrameError: see :func:`run_sequence`.
        ResultsError: if the result cannot be written, or another process is running the sequence.
        KeyboardInterrupt: if the view's user stops the run.
    """
    with folder.claimed(sequence.name):
        if not again and folder.is_finished(sequence, density)[0]:
            advance(len(sequence))
            return folder.seconds(sequence.name)
        return _run_and_save(sequence, tracker, seed, folder, advance, density, view)


def _run_and_save(
    sequence: TrackingSequence,
    tracker: BaseTracker,
    seed: int,
    folder: ResultFolder,
    advance: Callable[[int], None],
    density: bool,
    view: View | None,
) -> float:
    seed_everything(seed)
    shown = view or Views()
    boxes, times = [], []

    def request() -> Request:
        return shown.request() | Request(density=density)

    log = DensityLog(density_file(folder.boxes_file(sequence.name))) if density else None
    with (
        PartialResult(folder, sequence.name) as partial,
        log or nullcontext(),
        closing(run_sequence(sequence, tracker, request)) as frames,
    ):
        for frame in frames:
            (target,) = frame.targets
            first = frame.index == 0
            if first and (doubt := box_doubt(sequence.first_box, frame.image)[0]):
                warn(f"{sequence.name}: {doubt}")
            boxes.append(sequence.ground_truth[0] if first else sequence.to_annotation(target.output.box))
            times.append(target.seconds)
            partial.add(boxes[-1])
            if log:
                log.add(frame.index, target)
            if not shown.show(frame):
                raise KeyboardInterrupt
            advance(1)
    folder.save(sequence.name, np.array(boxes), np.array(times), density)
    return float(np.sum(times))


def failure(sequence: TrackingSequence, error: FrameError) -> str:
    """The cause of a failed sequence in one sentence; for a bug, with its place in the code."""
    cause = error.__cause__
    assert cause is not None
    where = f"frame {error.index + 1} of {len(sequence)}"
    if isinstance(cause, UserError):
        return f"{cause} ({where})"
    place = traceback.extract_tb(cause.__traceback__)[-1]
    return (
        f"{type(cause).__name__}: {str(cause) or 'no message'} ({where}; {Path(place.filename).name}, line "
        f"{place.lineno}; --debug 1 shows the traceback)"
    )


def tracker_device(tracker: BaseTracker) -> str:
    """The tracker's `device`; one without this attribute runs on the CPU."""
    return str(getattr(tracker, "device", None) or "cpu")
