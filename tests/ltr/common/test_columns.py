"""Columns of numbers and names in a file: the same as what was written, shared by processes, and never half-read."""

import multiprocessing
import os
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from ltr.common.columns import Columns, Names, name_columns
from ltr.common.errors import UserError

NAMES = ["a.jpg", "", "ordner/größe 1.jpg", "日本語/画像.png", "\ud800 alone", os.fsdecode(b"latin\xe4.jpg"), "x" * 300]


@pytest.fixture
def written() -> Columns:
    arrays = {
        "boxes": np.arange(12, dtype=np.float32).reshape(3, 4),
        "visible": np.array([True, False, True]),
        "nothing": np.empty((0, 4), np.float64),
        **name_columns("files", NAMES),
        "none": np.empty(0, np.uint8),
        "none_starts": np.zeros(1, np.int64),
    }
    return Columns(arrays, {"skipped": {"crowds": 3}, "text": "größe\n"})


@pytest.fixture
def file(tmp_path, written) -> Path:
    written.write(tmp_path / "a.columns")
    return tmp_path / "a.columns"


def test_a_file_gives_back_what_was_written(written, file):
    read = Columns.mapped(file)
    read.check()
    assert list(read) == list(written) and read.about == written.about
    for name, array in written.items():
        assert read[name].dtype == array.dtype and read[name].shape == array.shape
        np.testing.assert_array_equal(read[name], array)
        assert read[name].ctypes.data % 64 == 0 and not read[name].flags.writeable
    assert read.names("files") == NAMES and len(read.names("none")) == 0


def test_names_are_like_a_list_of_texts():
    names = Columns(name_columns("files", NAMES)).names("files")
    assert isinstance(names, Names) and len(names) == len(NAMES) and list(names) == NAMES
    assert names[-2] == NAMES[-2] and names[1:4] == NAMES[1:4] and names[np.int64(2)] == NAMES[2]
    assert NAMES[3] in names and "b.jpg" not in names and names.index(NAMES[3]) == 3
    assert names + ["z"] == [*NAMES, "z"] and names != NAMES[:-1] and names != "a.jpg"
    with pytest.raises(IndexError):
        names[len(NAMES)]


def test_every_changed_byte_and_every_cut_is_found_out(file):
    content = file.read_bytes()
    for k in range(0, len(content), 7):
        file.write_bytes(content[:k] + bytes([content[k] ^ 4]) + content[k + 1 :])
        with pytest.raises(ValueError):
            Columns.mapped(file).check()
        file.write_bytes(content[:k])
        with pytest.raises(ValueError):
            Columns.mapped(file).check()


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_another_process_gets_the_name_of_the_file_and_not_its_content(tmp_path, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    Columns({"boxes": np.arange(1 << 20)}).write(tmp_path / "a.columns")
    columns = Columns.mapped(tmp_path / "a.columns")
    assert len(pickle.dumps(columns)) < 1000
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(_last_of, (columns,)) == (1 << 20) - 1


def _last_of(columns: Columns) -> int:
    return int(columns["boxes"][-1])


def test_columns_in_memory_are_sent_whole(written):
    copy = pickle.loads(pickle.dumps(written))
    assert copy.about == written.about and copy.names("files") == NAMES


def test_a_file_that_was_replaced_meanwhile_is_not_taken_for_the_same(file):
    sent = pickle.dumps(Columns.mapped(file))
    Columns({"boxes": np.zeros(3)}).write(file)
    with pytest.raises(UserError, match="a.columns was replaced while it was used; start again"):
        pickle.loads(sent)
    file.unlink()
    with pytest.raises(UserError, match="a.columns was removed or replaced while it was used"):
        pickle.loads(sent)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_a_process_that_reads_every_name_keeps_next_to_nothing_of_its_own(tmp_path):
    count = 100_000
    Columns(name_columns("files", (f"{k:012d}.jpg" for k in range(count)))).write(tmp_path / "a.columns")
    names = Columns.mapped(tmp_path / "a.columns").names("files")
    before, after = os.pipe()
    child = os.fork()
    if not child:
        start = _own_bytes()
        total = sum(len(name) for name in names)
        os.write(after, f"{total} {_own_bytes() - start}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    total, grown = map(int, os.read(before, 100).split())
    assert total == 16 * count
    assert grown < 8 * count  # a list of texts: 80 bytes a name


def _own_bytes() -> int:
    """Bytes of memory that this process has written to; pages of files are not among them."""
    return 1024 * int(re.search(r"Private_Dirty:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text())[1])
