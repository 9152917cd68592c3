"""Processes that tests fork from a warm Python."""

import subprocess

import pytest

from tests.helpers import warm_python as module


def test_a_hanging_process_is_ended(monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 4)
    with pytest.raises(subprocess.TimeoutExpired):
        module.warm_python("-c", "import time; time.sleep(100)")
    monkeypatch.setattr(module, "TIMEOUT", 100)
    done = module.warm_python("-c", "print(1)")
    assert done.returncode == 0 and done.stdout == "1\n"
