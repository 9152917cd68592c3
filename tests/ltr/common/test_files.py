"""Files that are whole or absent, and locks."""

import json
import os
import stat

import pytest

from ltr.common.errors import UserError
from ltr.common.files import locked, replace_file, write_json, write_text, writing


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


def test_a_lock_that_is_taken_is_reported(tmp_path):
    pytest.importorskip("fcntl")

    def give_up():
        raise UserError("it is taken")

    with locked(tmp_path / "lock", when_taken=give_up):
        with pytest.raises(UserError, match="it is taken"), locked(tmp_path / "lock", when_taken=give_up):
            pass
    with locked(tmp_path / "lock", when_taken=give_up):
        pass
