"""Doing trainings by an executor, several at once on request, with a line about each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tqdm import tqdm

from ltr.common.errors import UserError
from ltr.common.executors import ProcessExecutor
from ltr.evaluation.trainings.board import Board
from ltr.evaluation.trainings.calls import do_calls
from ltr.evaluation.trainings.training import Training, prepare_with_log, train_with_log


@dataclass
class Outcome:
    """What has become of trainings.

    Attributes:
        trained: those that are finished, those of earlier commands included.
        failures: a sentence for each that failed, by its name.
        stop_signal: the signal that stopped them, or None.
    """

    trained: list[Training] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    stop_signal: int | None = None


def train_rounds(
    rounds: Sequence[Sequence[Training]],
    jobs: int,
    make_executor: Callable[[int], Any] = ProcessExecutor,
    restart: bool = False,
) -> Outcome:
    """Does the trainings that are not finished, `jobs` at once; one that fails leaves the others alone.

    SIGINT or SIGTERM stops them: those in progress save their state, and a further call continues. A second signal
    ends them at once.

    Args:
        rounds: trainings, each in a folder of its own; those of a round begin when the ones before are done.
        jobs: how many at once.
        make_executor: given a number of jobs, an executor as of concurrent.futures, with `interrupt` and `kill` of
            :class:`ltr.common.executors.WorkerExecutor`.
        restart: deletes checkpoints, and begins all trainings anew.
    """
    run = _Run(sum(map(len, rounds)), make_executor, restart)
    for trainings in rounds:
        if run.outcome.stop_signal is None:
            run.round(trainings, jobs)
    return run.outcome


class _Run:
    def __init__(self, total: int, make_executor: Callable[[int], Any], restart: bool) -> None:
        self.total, self.make_executor, self.restart = total, make_executor, restart
        self.outcome = Outcome()

    def round(self, trainings: Sequence[Training], jobs: int) -> None:
        todo = [training for training in trainings if self._is_to_do(training)]
        if jobs > 1 and todo and _shares_features(todo[0]):
            tqdm.write("first the features that all trainings share")
            # by one process on all cores: the others would wait for it; if it fails, a training says why
            self._do(prepare_with_log, todo[:1], 1, lambda training, future, stopped: None)
        if todo and self.outcome.stop_signal is None:
            self._do(partial(train_with_log, restart=self.restart), todo, jobs, self._finish)

    def _is_to_do(self, training: Training) -> bool:
        try:
            if self.restart or not training.is_finished():
                return True
        except UserError as error:
            self.outcome.failures[training.name] = str(error)
            self._say(f"{training.name} failed: {error}")
        else:
            self.outcome.trained.append(training)
            self._say(f"{training.name}: already trained")
        return False

    def _do(
        self,
        work: Callable[[Training], Any],
        todo: Sequence[Training],
        jobs: int,
        finish: Callable[[Training, Future, bool], None],
    ) -> None:
        with Board() as board:
            self.outcome.stop_signal = do_calls(work, todo, finish, jobs, self.make_executor, board.show)

    def _finish(self, training: Training, future: Future, stopped: bool) -> None:
        error = future.exception()
        if error is None and future.result() is None:
            self.outcome.trained.append(training)
            self._say(f"{training.name}: trained")
        elif not stopped:
            what = str(error) if error is not None else "it was stopped from outside"
            self.outcome.failures[training.name] = f"{what}; log: {training.log}"
            self._say(f"{training.name} failed: {self.outcome.failures[training.name]}")
        else:
            tqdm.write(f"{training.name}: stopped")

    def _say(self, text: str) -> None:
        number = len(self.outcome.trained) + len(self.outcome.failures)
        tqdm.write(f"[{number:>{len(str(self.total))}}/{self.total}] {time.strftime('%H:%M')} {text}")


def _shares_features(training: Training) -> bool:
    encoder = getattr(training.settings, "encoder", None)
    return encoder is not None and encoder.frozen_copies > 0
