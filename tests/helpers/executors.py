"""Executors for tests, without processes."""

import functools
from concurrent.futures import Executor, Future

from ltr.common.own_process import WorkerError
from ltr.evaluation.trainings import calls, rounds


class Here(Executor):
    """Makes calls in this very process: another executor under the same code."""

    def __init__(self, jobs):
        self.cancelled = False

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        if self.cancelled:
            future.cancel()
            return future
        future.set_running_or_notify_cancel()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future

    def interrupt(self):
        self.cancelled = True

    kill = interrupt


class Broken(Here):
    """Has no workers any more from the first call on that raises WorkerError."""

    error = None

    def __init__(self, jobs, *others):
        super().__init__(jobs)

    def submit(self, function, /, *args, **kwargs):
        future = super().submit(function, *args, **kwargs)
        if isinstance(future.exception(), WorkerError):
            self.error = self.error or future.exception()
        return future


class Later(Here):
    """Makes a call when it is waited for, so that a signal finds some that have not begun."""

    def __init__(self, jobs):
        self.futures = []

    def submit(self, function, /, *args, **kwargs):
        self.futures.append(Future())
        self.futures[-1].number = len(self.futures)
        self.futures[-1].call = functools.partial(function, *args, **kwargs)
        return self.futures[-1]

    def interrupt(self):
        for future in self.futures:
            future.cancel()

    kill = interrupt


def _wait_for_one(futures, *args):
    future = min(futures, key=lambda future: future.number)
    future.set_running_or_notify_cancel()
    future.set_result(future.call())
    return {future}, futures - {future}


def make_here(patch, command):
    """The trainings of a command's module run in this process."""
    patch.setattr(command, "train_rounds", functools.partial(rounds.train_rounds, make_executor=Here))


def make_one_by_one(patch, command):
    """They do, each when it is waited for: a signal finds some that have not begun."""
    wait_for_one(patch)
    patch.setattr(command, "train_rounds", functools.partial(rounds.train_rounds, make_executor=Later))


def wait_for_one(patch):
    """Whoever waits for calls of :class:`Later` has the next one made."""
    patch.setattr(calls, "wait", _wait_for_one)
