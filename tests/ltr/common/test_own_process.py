"""Calls in processes of their own: values, errors, deaths, and being told to stop."""

import os
import signal
import time
from concurrent.futures import wait

from ltr.common.errors import UserError
from ltr.common.own_process import ProcessExecutor


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
