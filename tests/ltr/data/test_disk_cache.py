"""Rows kept on disk: the same whether they were computed at once or in pieces, and damage is not taken for data."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ltr.common.errors import UserError
from ltr.data import disk_cache as module
from ltr.data.disk_cache import cached_rows

NUMBER = 50


def rows_from(start, calls, stop_at=None, size=4):
    """Row k of `a` is k, of `b` three times k squared; raises before row `stop_at`."""
    calls.append(start)
    for k in range(start, NUMBER, size):
        if stop_at is not None and k >= stop_at:
            raise KeyboardInterrupt
        numbers = np.arange(k, min(k + size, NUMBER))
        yield {"a": numbers, "b": np.repeat(numbers[:, None] ** 2, 3, axis=1).astype(np.float32)}


def keep(folder, calls, **options):
    return cached_rows(folder, NUMBER, lambda start: rows_from(start, calls, **options), "rows", "Try another folder.")


def assert_right(arrays):
    assert arrays.keys() == {"a", "b"} and arrays["b"].dtype == np.float32
    assert np.array_equal(arrays["a"], np.arange(NUMBER))
    assert np.array_equal(arrays["b"], np.repeat(np.arange(NUMBER)[:, None] ** 2, 3, axis=1))


def test_computed_once(tmp_path):
    calls = []
    for _ in range(2):
        assert_right(keep(tmp_path / "rows", calls))
    assert calls == [0]


def test_goes_on_after_any_number_of_interruptions(tmp_path):
    calls = []
    for stop_at in (4, 20, 48):
        with pytest.raises(KeyboardInterrupt):
            keep(tmp_path / "rows", calls, stop_at=stop_at)
    assert_right(keep(tmp_path / "rows", calls))
    assert calls == [0, 4, 20, 48]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["rows"]


def test_an_interruption_before_the_first_row_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        keep(tmp_path / "rows", [], stop_at=0)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


@pytest.mark.parametrize("damage", ["no count", "count", "array", "length", "beyond", "changed"])
def test_what_is_damaged_is_computed_anew(tmp_path, damage):
    calls = []
    with pytest.raises(KeyboardInterrupt):
        keep(tmp_path / "rows", calls, stop_at=20)
    part = tmp_path / "rows.part"
    count = part / "rows_done.json"
    if damage == "no count":
        count.unlink()
    elif damage == "array":
        (part / "a.npy").write_bytes((part / "a.npy").read_bytes()[:100])
    elif damage == "changed":
        np.save(part / "a.npy", np.zeros(NUMBER, int))
    elif damage == "length":
        np.save(part / "a.npy", np.zeros(NUMBER - 1, int))
    else:
        count.write_text({"count": "{", "beyond": str(NUMBER + 1)}[damage])
    assert_right(keep(tmp_path / "rows", calls))
    assert calls == [0, 0]


def test_a_damaged_file_of_a_complete_folder_is_named(tmp_path):
    keep(tmp_path / "rows", [])
    file = tmp_path / "rows" / "b.npy"
    for length in (200, 0):
        file.write_bytes(file.read_bytes()[:length])
        with pytest.raises(UserError, match=r"b\.npy is damaged.*delete .*rows"):
            keep(tmp_path / "rows", [])


def flip_a_bit(folder):
    content = bytearray((folder / "b.npy").read_bytes())
    content[-1 - 12 * (NUMBER - 8)] ^= 1  # of row 7
    (folder / "b.npy").write_bytes(content)


def with_nan(folder):
    values = np.load(folder / "b.npy")
    values[7] = np.nan
    np.save(folder / "b.npy", values)


@pytest.mark.parametrize("damage", [flip_a_bit, with_nan])
def test_a_row_that_has_changed_is_named(tmp_path, damage):
    keep(tmp_path / "rows", [])
    damage(tmp_path / "rows")
    rows = keep(tmp_path / "rows", [])
    assert rows.row(6)["a"] == 6
    for read in (lambda: rows.row(7), rows.check):
        with pytest.raises(UserError, match="row 7 of .*rows is damaged; delete"):
            read()


@pytest.mark.parametrize(
    ("name", "values"),
    [("b", np.zeros((NUMBER, 4), np.float32)), ("a", np.zeros(NUMBER)), ("checksums", np.zeros(3, np.uint32))],
)
def test_arrays_of_another_form_are_refused(tmp_path, name, values):
    keep(tmp_path / "rows", [])
    np.save(tmp_path / "rows" / f"{name}.npy", values)
    with pytest.raises(UserError, match=rf"{name}\.npy is damaged: .*another form; delete"):
        keep(tmp_path / "rows", [])


@pytest.mark.parametrize("name", ["a.npy", "checksums.npy", "rows.json"])
def test_what_a_folder_lacks_is_named(tmp_path, name):
    keep(tmp_path / "rows", [])
    (tmp_path / "rows" / name).unlink()
    with pytest.raises(UserError, match=rf"lacks its {name}; delete"):
        keep(tmp_path / "rows", [])
    os.mkfifo(tmp_path / "rows" / name)
    with pytest.raises(UserError, match="a pipe.*delete"):
        keep(tmp_path / "rows", [])


def test_rows_that_are_not_finite_are_not_kept(tmp_path):
    def compute(start):
        yield {"a": np.array([1.0, np.inf])}

    with pytest.raises(UserError, match="rows cannot be used: a is not finite in the rows 0 to 1"):
        cached_rows(tmp_path / "rows", 2, compute, "rows", "")


_PROGRAM = """
import sys, time
from pathlib import Path
from tests.ltr.data import test_disk_cache as t
t.module._SAVE_SECONDS = 0
def slow(start):
    for rows in t.rows_from(start, []):
        yield rows
        if rows["a"][0] >= 24:
            print("there", flush=True)
            time.sleep(60)
t.cached_rows(Path(sys.argv[1]), t.NUMBER, slow, "rows", "")
"""


def test_sigkill_loses_no_more_than_was_not_saved(tmp_path):
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path / "rows")]
    root = str(Path(__file__).resolve().parents[3])
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}) as process:
        assert process.stdout.readline() == b"there\n"
        process.send_signal(signal.SIGKILL)
    calls = []
    assert_right(keep(tmp_path / "rows", calls))
    assert calls == [28]


def test_a_second_process_waits_for_the_first(tmp_path):
    program = _PROGRAM.replace("time.sleep(60)", "time.sleep(0.2)")
    command = [sys.executable, "-c", program, str(tmp_path / "rows")]
    root = str(Path(__file__).resolve().parents[3])
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}) as process:
        process.stdout.readline()
        calls = []
        assert_right(keep(tmp_path / "rows", calls))
        assert calls == []
        process.stdout.read()
    assert process.returncode == 0


def test_saved_now_and_then(tmp_path, monkeypatch):
    """Not at every row, which would take longer than the rows."""
    saves, now = [], [0.0]
    monkeypatch.setattr(module, "_save", lambda part, arrays, done: saves.append(done))
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def ticking(start):
        for rows in rows_from(start, []):
            now[0] += 7.0
            yield rows

    cached_rows(tmp_path / "rows", NUMBER, ticking, "rows", "")
    assert saves == [12, 24, 36, 48]
