"""Locks that processes share."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from types import ModuleType

import pytest

from ltr.common import locks
from ltr.common.errors import UserError
from ltr.common.locks import locked


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
        monkeypatch.setattr(locks, "_lock", locks._lock_byte)
        monkeypatch.setattr(locks, "_unlock", locks._unlock_byte)


def test_what_only_unix_has_is_not_needed_for_the_import():
    code = "import sys; sys.modules['fcntl'] = None; import ltr.common.locks, ltr.common.files"
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


def test_a_lock_file_that_is_removed_locks_all_the_same(tmp_path):
    """Who waited for the removed file takes the next one, as everybody does who comes later."""
    path, inside = tmp_path / "lock", []

    def work():
        for _ in range(50):
            with locked(path, lambda: None, remove=True):
                inside.append(1)
                assert len(inside) == 1
                time.sleep(0)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not inside and not path.exists()


def test_a_forked_process_that_lives_on_does_not_hold_the_lock(tmp_path):
    def give_up():
        raise UserError("it is taken")

    with locked(tmp_path / "lock", give_up):
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(0)
    try:
        with locked(tmp_path / "lock", give_up):
            pass
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_without_locks_of_the_file_system_a_warning_stands_for_them(tmp_path, monkeypatch, caplog):
    def refuse(file, how):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for name in ("lock", "another", "lock"):
        with locked(tmp_path / name, pytest.fail):
            pass
    assert caplog.text.count("has no locks") == 1  # of the folder, and not of each sequence in it
