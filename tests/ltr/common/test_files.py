"""Files that are whole or absent, and locks."""

import json
import os
import stat
import subprocess
import sys
import threading
import time
from types import ModuleType

import pytest

from ltr.common import files
from ltr.common.errors import UserError
from ltr.common.files import (
    check_regular,
    locked,
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


class WindowsLocks(ModuleType):
    """The part of `msvcrt` that locks a byte of a file, here for the files of one process."""

    LK_UNLCK, LK_NBLCK = 0, 2

    def __init__(self):
        super().__init__("msvcrt")
        self.taken = set()

    def locking(self, descriptor, mode, count):
        key = (os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, os.SEEK_CUR), count)
        if mode == self.LK_UNLCK:
            self.taken.remove(key)
        elif key in self.taken:
            raise PermissionError(13, "Permission denied")
        else:
            self.taken.add(key)


@pytest.fixture(params=["here", "windows"])
def system(request, monkeypatch):
    """The locks of this machine, and those of Windows."""
    if request.param == "windows":
        monkeypatch.setitem(sys.modules, "msvcrt", WindowsLocks())
        monkeypatch.setattr(files, "_lock", files._lock_byte)
        monkeypatch.setattr(files, "_unlock", files._unlock_byte)


def test_what_only_unix_has_is_not_needed_for_the_import():
    code = "import sys; sys.modules['fcntl'] = None; import ltr.common.files"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_lock_is_waited_for(tmp_path, system):
    held, order = threading.Event(), []

    def hold():
        with locked(tmp_path / "lock", when_taken=pytest.fail):
            held.set()
            time.sleep(0.3)
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with locked(tmp_path / "lock", when_taken=lambda: order.append("taken")):
        order.append("second")
    thread.join()
    assert order == ["taken", "first", "second"]


def test_a_lock_that_is_taken_is_reported(tmp_path, system):

    def give_up():
        raise UserError("it is taken")

    with locked(tmp_path / "lock", when_taken=give_up):
        with pytest.raises(UserError, match="it is taken"), locked(tmp_path / "lock", when_taken=give_up):
            pass
    with locked(tmp_path / "lock", when_taken=give_up):
        pass


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
