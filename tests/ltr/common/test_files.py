"""Files that are whole or absent."""

import json
import os
import stat
import subprocess
import sys

import pytest

from ltr.common import files
from ltr.common.errors import UserError
from ltr.common.files import (
    check_regular,
    read_bytes,
    read_text,
    remove_abandoned,
    replace_file,
    write_json,
    write_text,
    writing,
)
from ltr.common.images import read_image
from ltr.common.orientation import image_form
from ltr.common.provenance import file_hash


def test_text_and_json_with_the_usual_permissions(tmp_path):
    write_text(tmp_path / "a.txt", "größer\n")
    write_json(tmp_path / "a.json", {"folder": tmp_path, "numbers": (1, 2)})
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "größer\n"
    assert json.loads((tmp_path / "a.json").read_text()) == {"folder": str(tmp_path), "numbers": [1, 2]}
    (tmp_path / "b.txt").touch()
    modes = {stat.S_IMODE(os.stat(file).st_mode) for file in tmp_path.iterdir()}
    assert len(modes) == 1 and len(list(tmp_path.iterdir())) == 3


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def half(temporary):
        temporary.write_text("ne")
        raise OSError(28, "No space left on device")

    message = r"a\.txt cannot be written: No space left on device; choose another disk"
    with pytest.raises(UserError, match=message), writing(path, "choose another disk"):
        replace_file(path, half)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_old_content_can_be_kept(tmp_path):
    for text in ("one", "two", "three"):
        replace_file(tmp_path / "a", lambda temporary, text=text: temporary.write_text(text), keep=tmp_path / "before")
    assert [(tmp_path / name).read_text() for name in ("before", "a")] == ["two", "three"]


def test_reading_a_pipe_does_not_wait(tmp_path):
    pipe = tmp_path / "boxes.txt"
    os.mkfifo(pipe)
    for read in (check_regular, read_bytes, read_text, lambda path: read_image(path), file_hash):
        with pytest.raises((OSError, UserError), match="a pipe"):
            read(pipe)
    assert image_form(pipe, (0, 0), "boxes.txt").width == 0


def test_reading_a_device_does_not_fill_the_memory():
    with pytest.raises(OSError, match="a device"):
        read_bytes("/dev/zero")


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfx")
    assert read_text(tmp_path / "a.txt") == "x"


def test_a_full_disk_is_named_with_its_file(tmp_path, monkeypatch):
    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.Path, "write_bytes", full)
    with pytest.raises(OSError) as caught:
        write_text(tmp_path / "table.txt", "x")
    assert caught.value.filename == str(tmp_path / "table.txt")
    assert not list(tmp_path.iterdir())


def test_what_killed_processes_left_is_removed(tmp_path):
    program = """
import os, signal, sys
from pathlib import Path
from ltr.common.files import replace_file
def write(temporary):
    temporary.write_bytes(bytes(10**6))
    os.kill(os.getpid(), signal.SIGKILL)
replace_file(Path(sys.argv[1]) / "last.pth", write)
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)])
    (left,) = tmp_path.iterdir()
    assert left.stat().st_size == 10**6
    remove_abandoned(tmp_path, 3600)  # perhaps of a living process, as far as its age says
    assert left.exists()
    os.utime(left, (0, 0))
    (tmp_path / "mine.tmp").touch()
    remove_abandoned(tmp_path, 3600)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.tmp"]
    for name in (".a[1].txt.0123.tmp", ".a[1].txt2.0123.tmp"):
        (tmp_path / name).touch()
    remove_abandoned(tmp_path, of="a[1].txt")
    assert sorted(file.name for file in tmp_path.iterdir()) == [".a[1].txt2.0123.tmp", "mine.tmp"]
