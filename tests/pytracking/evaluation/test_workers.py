"""What becomes of sequences by workers."""

import pytest

from ltr.common.own_process import WorkerError
from pytracking.evaluation.workers import Workers, run_on_workers
from tests.helpers.evaluation_fakes import FakeSpec
from tests.helpers.executors import Broken


class Told:
    """What is said of tasks."""

    def __init__(self):
        self.finished, self.failed = [], []

    def begin(self, task):
        return True

    def finish(self, task, value):
        self.finished.append(task)

    def fail(self, task, cause, died):
        self.failed.append(task)


def test_a_sequence_that_is_complete_when_the_workers_are_lost_is_kept():
    def work(task):
        if task == "short":
            raise WorkerError("the cluster is gone")

    told = Told()
    with pytest.raises(WorkerError, match="the cluster is gone"):
        run_on_workers(["short", "the longest"], Workers(work, FakeSpec(), Broken, 1), told, lambda device: None)
    assert told.finished == ["the longest"] and not told.failed
