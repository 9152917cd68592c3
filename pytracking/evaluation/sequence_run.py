"""Running a tracker over one sequence."""

import traceback
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from ltr.common.errors import UserError
from ltr.common.images import read_image
from ltr.common.seeds import seed_everything
from pytracking.evaluation.datasets import TrackingSequence
from pytracking.evaluation.density_log import density_line
from pytracking.evaluation.typed_boxes import box_doubt
from pytracking.tracker.base import BaseTracker, check_first_box
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


def _read_ahead(paths: Sequence[Path]) -> Generator[np.ndarray, None, None]:
    with ThreadPoolExecutor(1, thread_name_prefix="read_image") as pool:
        pending = pool.submit(read_image, paths[0])
        for following in chain(islice(paths, 1, None), [None]):
            image = pending.result()
            if following is not None:
                pending = pool.submit(read_image, following)
            yield image


@dataclass(frozen=True)
class FrameResult:
    """What is kept of a frame.

    Attributes:
        box: (4,) in annotation coordinates.
        seconds: of the tracker.
        density: the line of :mod:`pytracking.evaluation.density_log`; None if it was not asked for.
        doubt: why the first box may be of another form; empty if it looks right.
    """

    box: np.ndarray
    seconds: float
    density: str | None = None
    doubt: str = ""


def sequence_results(
    sequence: TrackingSequence, tracker: BaseTracker, seed: int, density: bool = False, view: View | None = None
) -> Generator[FrameResult, None, None]:
    """Run one sequence, frame by frame.

    Args:
        seed: of the global random generators.
        density: make p(y | x) of each frame too.
        view: shown each frame, and left open.

    Raises:
        FrameError: see :func:`run_sequence`.
        KeyboardInterrupt: if the view's user stops the run.
    """
    seed_everything(seed)
    shown = view or Views()

    def request() -> Request:
        return shown.request() | Request(density=density)

    with closing(run_sequence(sequence, tracker, request)) as frames:
        for frame in frames:
            (target,) = frame.targets
            first = frame.index == 0
            if not shown.show(frame):
                raise KeyboardInterrupt
            yield FrameResult(
                sequence.ground_truth[0] if first else sequence.to_annotation(target.output.box),
                target.seconds,
                density_line(frame.index, target) if density else None,
                box_doubt(sequence.first_box, frame.image)[0] if first else "",
            )


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
