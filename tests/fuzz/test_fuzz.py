"""A short run of the fuzzers; `python -m tests.fuzz --seconds 300` is a long one."""

import os
import random
import signal
import sys
import time

import pytest

from ltr.common.errors import UserError
from tests.fuzz import run as limits
from tests.fuzz.__main__ import fuzz, main
from tests.fuzz.run import CRASH, HANG, READ, REFUSED, TRACEBACK, run_in_process
from tests.fuzz.targets import KINDS, Target, make_targets

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are Linux's")


@pytest.fixture(scope="module", params=KINDS)
def kind(request, tmp_path_factory) -> tuple[str, list[Target], object]:
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, make_targets(request.param, folder), folder / "input"


def test_undamaged_files_are_read(kind):
    _, targets, folder = kind
    for target in targets:
        target.read(folder / target.name)


def test_damaged_files_are_read_or_refused_in_a_sentence(kind):
    name, targets, folder = kind
    for number, target in enumerate(targets):
        outcome, why, _ = fuzz(target, number, 0, folder)
        assert outcome in (READ, REFUSED), f"python -m tests.fuzz {name}: {target.name}, {number}: {outcome}\n{why}"
        (folder / target.name).write_bytes(target.content)


def refuse(message):
    raise UserError(message)


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (lambda: None, READ),
        (lambda: refuse("a sentence"), REFUSED),
        (lambda: refuse("two\nlines"), TRACEBACK),
        (lambda: {}["key"], TRACEBACK),
        (lambda: bytes(3 << 30), TRACEBACK),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), CRASH),
        (lambda: time.sleep(60), HANG),
    ],
)
def test_what_gives_way_is_told_apart(monkeypatch, read, outcome):
    monkeypatch.setattr(limits, "SECONDS", 1)
    assert run_in_process(read)[0] == outcome


def test_what_gives_way_is_saved_and_can_be_repeated(tmp_path, monkeypatch, capsys):
    def read(file):
        raise KeyError(file.read_bytes())

    target = Target("a.bin", b"content", (lambda content, rng: rng.randbytes(4),), read)
    monkeypatch.setattr("tests.fuzz.__main__.make_targets", lambda kind, folder: [target])
    for folder in ("one", "two"):
        assert main(["images", "--seconds", "0", "--seed", "3", "--save", str(tmp_path / folder)]) == 1
    assert "KeyError" in capsys.readouterr().err
    (one,), (two,) = ((tmp_path / folder).iterdir() for folder in ("one", "two"))
    expected = random.Random("3-a.bin-0")
    expected.choice([0])
    assert one.read_bytes() == two.read_bytes() == expected.randbytes(4)
