"""Running a tracker over one sequence."""

import random
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np
import torch

from ltr.common.errors import UserError
from ltr.common.images import read_image
from pytracking.evaluation.datasets import TrackingSequence
from pytracking.evaluation.density_log import DensityLog, density_file
from pytracking.evaluation.results import PartialResult, ResultFolder
from pytracking.tracker.base import BaseTracker, check_first_box
from pytracking.view.base import NO_REQUEST, Request, TargetTracker, TrackedFrame, View, Views


class FrameError(Exception):
    """Carries the index of the frame at which a sequence failed; the failure itself is its ``__cause__``."""

    def __init__(self, index: int):
        super().__init__(index)
        self.index = index


def run_sequence(
    sequence: TrackingSequence, tracker: BaseTracker, request: Callable[[], Request] = lambda: NO_REQUEST
) -> Iterator[TrackedFrame]:
    """Tracks through a sequence and yields frame after frame, boxes in the tracker's coordinates.

    The next image is read while the tracker works on this one, and reading is not counted in a target's ``seconds``. On
    a machine whose cores are all busy tracking, the reader still takes its share of them. Before each frame,
    ``request()`` says what else is wanted of it.

    Raises :class:`FrameError` caused by whatever failed: an image that cannot be read (ImageReadError), a first box
    that cannot be tracked (UserError), a tracker that fails or returns a box that is not finite.
    """
    target_tracker = TargetTracker(tracker)
    with closing(_read_ahead(sequence.frames)) as images:
        for index in range(len(sequence)):
            truth = sequence.to_tracker(sequence.ground_truth[index])
            truth = truth if np.isfinite(truth).all() and (truth[2:] > 0).all() else None
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


def _read_ahead(paths: list[Path]) -> Iterator[np.ndarray]:
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
) -> float:
    """Runs one sequence, writes its result, and returns the tracker's seconds.

    ``advance(1)`` is called after each frame. With ``density``, p(y | x) of each frame is written too. ``view`` is
    shown each frame, and left open. Raises FrameError as :func:`run_sequence`, ResultsError where the result cannot be
    written, KeyboardInterrupt where the view's user wants to stop.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    view = view or Views()
    boxes, times = [], []

    def request() -> Request:
        return view.request() | Request(density=density)

    log = DensityLog(density_file(folder.boxes_file(sequence.name))) if density else None
    with (
        PartialResult(folder, sequence.name) as partial,
        log or nullcontext(),
        closing(run_sequence(sequence, tracker, request)) as frames,
    ):
        for frame in frames:
            (target,) = frame.targets
            first = frame.index == 0
            boxes.append(sequence.ground_truth[0] if first else sequence.to_annotation(target.output.box))
            times.append(target.seconds)
            partial.add(boxes[-1])
            if log:
                log.add(frame.index, target)
            if not view.show(frame):
                raise KeyboardInterrupt
            advance(1)
    folder.save(sequence.name, np.array(boxes), np.array(times))
    return float(np.sum(times))


def failure(sequence: TrackingSequence, error: FrameError) -> str:
    """The cause of a failed sequence in one sentence; for what is not the user's doing, with the place in the code."""
    cause = error.__cause__
    where = f"frame {error.index + 1} of {len(sequence)}"
    if isinstance(cause, UserError):
        return f"{cause} ({where})"
    place = traceback.extract_tb(cause.__traceback__)[-1]
    return (
        f"{type(cause).__name__}: {str(cause) or 'no message'} ({where}; {Path(place.filename).name}, line "
        f"{place.lineno}; --debug 1 shows the traceback)"
    )


def tracker_device(tracker: BaseTracker) -> str:
    """The device a tracker says it runs on; one that says nothing runs on the CPU."""
    return str(getattr(tracker, "device", None) or "cpu")
