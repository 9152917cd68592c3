"""The files of sequences while they are tracked, here or by workers: one process alone writes them."""

from __future__ import annotations

import contextlib
from typing import TextIO

import numpy as np

from ltr.common.errors import UserError
from pytracking.evaluation.datasets import TrackingSequence
from pytracking.evaluation.density_log import DensityLog, density_file
from pytracking.evaluation.report import Progress
from pytracking.evaluation.results import ResultFolder, cannot_write, format_box
from pytracking.evaluation.sequence_run import FrameResult
from pytracking.utils.video import warn


class SequenceWriter:
    """Writes one sequence. Use it in a ``with`` statement, in which no other process runs the sequence.

    Boxes are written line by line to a file for unfinished sequences, so that even a killed process leaves its lines.

    Args:
        again: write it also if its result is there.

    Attributes:
        is_finished: whether another process has finished it just now, so that its result is taken.
    """

    def __init__(self, folder: ResultFolder, sequence: TrackingSequence, density: bool, again: bool = False) -> None:
        self._folder, self._sequence, self._density, self._again = folder, sequence, density, again
        self._claim = contextlib.ExitStack()
        self.is_finished = False
        self._partial = folder.partial_file(sequence.name)
        self._file: TextIO | None = None
        self._boxes: list[np.ndarray] = []
        self._times: list[float] = []
        self._log = DensityLog(density_file(folder.boxes_file(sequence.name))) if density else None

    def __enter__(self) -> SequenceWriter:
        """Raises:
        UserError: if another process runs the sequence, or has replaced the folder's results.
        """
        self._claim.enter_context(self._folder.claimed(self._sequence.name))
        self.is_finished = not self._again and self._folder.is_finished(self._sequence, self._density)[0]
        if not self.is_finished:
            self.restart()
        return self

    def restart(self) -> None:
        """Forget what was added, and what an earlier attempt has left."""
        self._close_file()
        self._boxes, self._times = [], []
        if self._log is not None:
            self._log.__exit__(GeneratorExit, None, None)
            self._log = DensityLog(self._log.path)
        with contextlib.suppress(OSError):
            self._partial.unlink(missing_ok=True)

    def add(self, frame: FrameResult) -> None:
        """Add the next frame.

        Raises:
            UserError: if it cannot be written.
        """
        if frame.doubt:
            warn(f"{self._sequence.name}: {frame.doubt}")
        try:
            if self._file is None:  # a sequence that fails on its first frame leaves no file
                self._file = open(self._partial, "w", buffering=1, encoding="utf-8")
            self._file.write(format_box(frame.box, self._folder.integer))
        except OSError as error:
            raise cannot_write(self._partial, error) from error
        if self._log is not None and frame.density is not None:
            self._log.add_line(len(self._boxes), frame.density)
        self._boxes.append(frame.box)
        self._times.append(frame.seconds)

    def __exit__(self, *exception) -> None:
        self._close_file()
        if self._log is not None:
            self._log.__exit__(GeneratorExit, None, None)  # it was not finished
        self._claim.close()

    def finish(self) -> float:
        """Write the result of the whole sequence, if it is not there, and return the tracker's seconds.

        Raises:
            UserError: if it cannot be written.
        """
        if self.is_finished:
            return self._folder.seconds(self._sequence.name)
        self._close_file()
        if self._log is not None:
            log, self._log = self._log, None
            log.__exit__(None, None, None)
        self._folder.save(self._sequence.name, np.array(self._boxes), np.array(self._times), self._density)
        return float(np.sum(self._times))

    @property
    def frames(self) -> int:
        """Number of frames until now."""
        return len(self._boxes)

    def _close_file(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        self._file = None


class SequenceRecorder:
    """Writes what workers report of sequences, and says what becomes of them. Close it at the end.

    Args:
        again: write sequences also if their results are there.
    """

    def __init__(self, folder: ResultFolder, progress: Progress, density: bool, again: bool = False) -> None:
        self._folder, self._progress, self._density, self._again = folder, progress, density, again
        self._writers: dict[str, SequenceWriter] = {}
        self._given_up: set[str] = set()

    def begin(self, sequence: TrackingSequence) -> bool:
        """Whether a sequence is to be run; False if another process has finished it just now. Can be called in any
        thread.

        Raises:
            UserError: if another process runs it.
        """
        if sequence.name not in self._writers:
            writer = SequenceWriter(self._folder, sequence, self._density, self._again)
            self._writers[sequence.name] = writer.__enter__()
        return not self._writers[sequence.name].is_finished

    def report(self, sequence: TrackingSequence, frames: list[FrameResult]) -> None:
        """The next frames of a sequence."""
        if sequence.name in self._given_up:
            return
        try:
            for frame in frames:
                self._writers[sequence.name].add(frame)
                self._progress.advance(1)
        except UserError as error:
            self._give_up(sequence, str(error))

    def again(self, sequence: TrackingSequence, cause: str) -> None:
        """The worker of a sequence has died, and another one begins it anew."""
        if sequence.name not in self._given_up:
            writer = self._writers[sequence.name]
            self._progress.advance(-writer.frames)
            self._progress.write(f"{sequence.name} is run again: {cause}")
            writer.restart()

    def finish(self, sequence: TrackingSequence, value: object = None) -> None:
        """All frames of a sequence were reported, or it was not to be run."""
        if sequence.name in self._given_up:
            return
        writer = self._writers[sequence.name]
        try:
            seconds = writer.finish()
        except UserError as error:
            self._give_up(sequence, str(error))
            return
        if writer.is_finished:
            self._progress.advance(len(sequence))
        self._close(sequence)
        self._progress.finish(sequence.name, len(sequence), seconds)

    def fail(self, sequence: TrackingSequence, cause: str, died: bool) -> None:
        """A sequence has failed, of itself or because its worker `died`."""
        if sequence.name in self._given_up:
            return
        frames = self._close(sequence)
        if died and frames:
            cause += f"; its boxes so far are in {self._folder.partial_file(sequence.name).name}"
        self._progress.fail(sequence.name, cause, len(sequence) - frames)

    def close(self) -> None:
        """Close the files of unfinished sequences."""
        for writer in self._writers.values():
            writer.__exit__(None, None, None)
        self._writers.clear()

    def _close(self, sequence: TrackingSequence) -> int:
        """Close a sequence's file, and return the number of its frames."""
        writer = self._writers.pop(sequence.name, None)
        if writer is None:
            return 0
        writer.__exit__(None, None, None)
        return writer.frames

    def _give_up(self, sequence: TrackingSequence, cause: str) -> None:
        """Its result cannot be written: what is still reported of it is dropped."""
        self._given_up.add(sequence.name)
        self._progress.fail(sequence.name, cause, len(sequence) - self._close(sequence))
