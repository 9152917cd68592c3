"""Calls in processes of their own or in kept ones: values, errors, deaths, and being told to stop."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import wait
from pathlib import Path

import pytest

from ltr.common.errors import UserError
from ltr.common.executors import ProcessExecutor, WorkerExecutor
from ltr.common.own_process import WorkerDied, WorkerError, said


def work(what, file=None):
    if what == "refuse":
        raise UserError("no such thing")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "bug":
        raise ZeroDivisionError
    if what == "wait":
        try:
            file.write_text("begun")
            time.sleep(60)
        except KeyboardInterrupt:
            file.write_text("saved")
            return "stopped"
    return what, os.getpid()


def test_values_errors_and_deaths_each_alone():
    with ProcessExecutor(2) as executor:
        found = [executor.submit(work, what) for what in ("refuse", "die", "bug", "value")]
        errors = [future.exception() for future in found[:3]]
        value, pid = found[3].result()
    assert isinstance(errors[0], UserError) and str(errors[0]) == "no such thing"
    assert "SIGKILL" in str(errors[1]) and "ZeroDivisionError" in str(errors[2])
    assert value == "value" and pid != os.getpid()


def test_told_to_stop_a_process_saves_and_what_has_not_begun_is_cancelled(tmp_path):
    file = tmp_path / "state"
    with ProcessExecutor(1) as executor:
        first, second = executor.submit(work, "wait", file), executor.submit(work, "value")
        while not file.exists() and not first.done():
            wait([first], 0.1)
        executor.interrupt()
        assert first.result(30) == "stopped" and file.read_text() == "saved"
        assert second.cancelled()


class MakeCounter:
    """What a kept process has: how many calls it has made."""

    def __init__(self, folder, error=None):
        self.folder, self.error = folder, error

    def __call__(self):
        if self.error is not None:
            raise self.error
        return {"calls": 0, "folder": self.folder}, "a counter"


def count(counter, report, what):
    counter["calls"] += 1
    report(f"begun {what}")
    if what == "poison" or (what == "unlucky" and not (counter["folder"] / "tried").exists()):
        (counter["folder"] / "tried").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "unusable":
        raise WorkerError("this machine has no such folder")
    return counter["calls"]


def test_a_kept_process_is_replaced_when_it_dies_and_a_call_that_kills_each_fails_alone(tmp_path):
    told = []
    with ProcessExecutor(1, MakeCounter(tmp_path), lambda *event: told.append(event), tries=2) as executor:
        calls = {what: executor.submit(count, what) for what in ("a", "unlucky", "poison", "b")}
        error = calls["poison"].exception()
        assert isinstance(error, WorkerDied) and "SIGKILL" in str(error) and "each of 2 times" in str(error)
        assert [calls[what].result() for what in ("a", "unlucky", "b")] == [1, 1, 1]
    assert [content for kind, _, content in told if kind == "ready"] == ["a counter"] * 4
    again = [future for kind, future, _ in told if kind == "again"]
    assert again == [calls["unlucky"], calls["poison"]]
    reports = [content for kind, future, content in told if kind == "reports" and future is calls["unlucky"]]
    assert reports == [["begun unlucky"]] * 2


class ScriptedWorker:
    """Makes no call: it says this one thing of each."""

    def __init__(self, kind):
        self.kind, self.messages = kind, [said("ready", None)]

    def begin(self, call):
        self.messages = [said(self.kind, "as it was told to")]

    def receive(self, seconds):
        messages, self.messages = self.messages, []
        return messages

    def interrupt(self): ...

    def kill(self): ...

    def close(self): ...


class ScriptedExecutor(WorkerExecutor):
    """Its first worker dies in each call, the second one refuses them."""

    def start_worker(self, number):
        return ScriptedWorker(["died", "refused"][number])


@pytest.mark.parametrize(
    "end",
    [lambda executor: executor.interrupt(), lambda executor: executor.submit(work, "value").exception(30)],
    ids=["interrupted", "without workers"],
)
def test_a_call_whose_worker_dies_while_all_calls_end_ends_too(end):
    def tell(kind, future, content):
        if kind == "again":
            end(executor)

    with ScriptedExecutor(2, tell=tell, tries=3) as executor:
        assert isinstance(executor.submit(work, "value").exception(5), WorkerDied)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [(UserError("no weights"), WorkerError, "no weights"), (KeyError("x"), RuntimeError, "KeyError")],
)
def test_processes_that_cannot_begin_end_all_calls(tmp_path, error, kind, words):
    with ProcessExecutor(2, MakeCounter(tmp_path, error)) as executor:
        calls = [executor.submit(count, what) for what in "abc"]
        assert all(isinstance(call.exception(), kind) and words in str(call.exception()) for call in calls)
        assert executor.error is not None


def test_one_unusable_worker_ends_all_calls(tmp_path):
    with ProcessExecutor(1, MakeCounter(tmp_path)) as executor:
        calls = [executor.submit(count, what) for what in ("unusable", "a")]
        assert all("no such folder" in str(call.exception()) for call in calls)


def test_a_process_that_died_while_it_was_idle_costs_no_call(tmp_path):
    with ProcessExecutor(1, MakeCounter(tmp_path), share_gpus=False) as executor:
        pid = executor.submit(identify).result()
        os.kill(pid, signal.SIGKILL)
        about = Path(f"/proc/{pid}")  # the process has ended when all its threads have
        _until(lambda: "State:\tZ" in (about / "status").read_text() and len([*(about / "task").iterdir()]) == 1)
        assert executor.submit(count, "a").result() == 1


def identify(counter, report):
    return os.getpid()


def test_an_error_of_who_is_told_ends_all_calls_with_it(tmp_path):
    def full_disk(kind, future, content):
        if kind == "reports":
            raise UserError("the disk is full")

    with ProcessExecutor(1, MakeCounter(tmp_path), full_disk, share_gpus=False) as executor:
        calls = [executor.submit(count, what) for what in "ab"]
        assert [str(call.exception()) for call in calls] == ["the disk is full"] * 2


PARENT = """
import time
from pathlib import Path
from tests.ltr.common.test_executors import MakeCounter, sleep
from ltr.common.executors import ProcessExecutor

if __name__ == "__main__":
    with ProcessExecutor(1, MakeCounter(Path({folder!r})), share_gpus=False) as executor:
        executor.submit(sleep)
        time.sleep(60)
"""


def sleep(counter, report):
    (counter["folder"] / "pid").write_text(str(os.getpid()))
    while True:
        time.sleep(60)


def test_a_process_ends_when_the_one_that_started_it_is_killed(tmp_path):
    script, pid = tmp_path / "parent.py", tmp_path / "pid"
    script.write_text(PARENT.format(folder=str(tmp_path)))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    with subprocess.Popen([sys.executable, str(script)], env=environment) as parent:
        _until(lambda: pid.exists() and pid.read_text())
        parent.kill()
    _until(lambda: not Path(f"/proc/{pid.read_text()}/cmdline").exists())


def _until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
