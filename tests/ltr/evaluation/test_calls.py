"""Calls by an executor, and what is told of them."""

import pytest

from ltr.common.own_process import WorkerError
from ltr.evaluation.trainings.calls import do_calls
from tests.helpers.executors import Broken


def test_what_is_done_when_the_workers_are_lost_is_told_and_no_call_is_blamed():
    def work(what):
        if what != "done":
            raise WorkerError("the cluster is gone")
        return what

    told = []
    with pytest.raises(WorkerError, match="the cluster is gone"):
        do_calls(work, ["lost", "done"], lambda what, future, stopped: told.append((what, future.result())), 1, Broken)
    assert told == [("done", "done")]
