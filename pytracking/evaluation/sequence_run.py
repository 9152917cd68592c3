"""Running a tracker over one sequence."""

import random
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ebm_common.errors import UserError
from ltr.data.image_loader import read_image
from pytracking.evaluation.datasets import Sequence
from pytracking.evaluation.debug_video import DebugVideo
from pytracking.evaluation.results import PartialResult, ResultFolder
from pytracking.tracker.base import BaseTracker, TrackerOutput, check_first_box


@dataclass(frozen=True)
class Frame:
    """One frame of a run. ``box`` is (4,) in annotation coordinates; ``seconds`` is the tracker's time alone."""

    index: int
    image: np.ndarray
    box: np.ndarray
    seconds: float
    output: TrackerOutput


class FrameError(Exception):
    """Carries the index of the frame at which a sequence failed; the failure itself is its ``__cause__``."""

    def __init__(self, index: int):
        super().__init__(index)
        self.index = index


def run_sequence(sequence: Sequence, tracker: BaseTracker) -> Iterator[Frame]:
    """Tracks through a sequence and yields frame after frame, the first with the annotated box.

    The next image is read while the tracker works on this one, and reading is not counted in ``seconds``. On a machine
    whose cores are all busy tracking, the reader still takes its share of them.

    Raises :class:`FrameError` caused by whatever failed: an image that cannot be read (ImageReadError), a first box
    that cannot be tracked (UserError), a tracker that fails or returns a box that is not finite.
    """
    with closing(_read_ahead(sequence.frames)) as images:
        for index in range(len(sequence)):
            try:
                image = next(images)
                if index == 0:
                    first_box = check_first_box(sequence.first_box, image)
                start = time.perf_counter()
                output = tracker.initialize(image, first_box) if index == 0 else tracker.track(image)
                seconds = time.perf_counter() - start
                if not np.isfinite(output.box).all():
                    raise ArithmeticError(f"the tracker returned the box {np.asarray(output.box).tolist()}")
            except Exception as error:
                raise FrameError(index) from error
            box = sequence.ground_truth[0] if index == 0 else sequence.to_annotation(output.box)
            yield Frame(index, image, box, seconds, output)


def _read_ahead(paths: list[Path]) -> Iterator[np.ndarray]:
    with ThreadPoolExecutor(1, thread_name_prefix="read_image") as pool:
        pending = pool.submit(read_image, paths[0])
        for following in [*paths[1:], None]:
            image = pending.result()
            if following is not None:
                pending = pool.submit(read_image, following)
            yield image


def run_and_save(
    sequence: Sequence,
    tracker: BaseTracker,
    seed: int,
    folder: ResultFolder,
    advance: Callable[[int], None],
    video: bool = False,
) -> float:
    """Runs one sequence, writes its result, and returns the tracker's seconds.

    ``advance(1)`` is called after each frame. Raises FrameError as :func:`run_sequence`, ResultsError where the result
    cannot be written.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    boxes, times = [], []
    film = DebugVideo(folder.path / f"{sequence.name}.mp4") if video else nullcontext()
    with PartialResult(folder, sequence.name) as partial, film, closing(run_sequence(sequence, tracker)) as frames:
        for frame in frames:
            boxes.append(frame.box)
            times.append(frame.seconds)
            partial.add(frame.box)
            if video:
                truth = sequence.to_tracker(sequence.ground_truth[frame.index])
                caption = f"{sequence.name} {frame.index}  {frame.output.score:.3f} {frame.output.flag}"
                film.add(frame.image, sequence.to_tracker(frame.box), truth, caption)
            advance(1)
    folder.save(sequence.name, np.array(boxes), np.array(times))
    return float(np.sum(times))


def failure(sequence: Sequence, error: FrameError) -> str:
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
