import errno
import os

import pytest

from ltr.common.errors import UserError, cli_main


def run(error):
    @cli_main
    def main(value):
        """What it does."""
        if error is not None:
            raise error
        return value

    assert main.__doc__ == "What it does."
    return main(7)


def test_a_user_error_is_one_line_and_exit_code_2(capsys):
    with pytest.raises(SystemExit) as exit_:
        run(type("Sub", (UserError,), {})("no data set 'otb': set --otb"))
    assert exit_.value.code == 2
    captured = capsys.readouterr()
    assert captured.err == "error: no data set 'otb': set --otb\n" and captured.out == ""


def test_an_interrupt_is_exit_code_130(capsys):
    with pytest.raises(SystemExit) as exit_:
        run(KeyboardInterrupt())
    assert exit_.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("error", [SystemExit(3), ZeroDivisionError("a bug")])
def test_everything_else_passes(error):
    with pytest.raises(type(error)) as raised:
        run(error)
    assert raised.value is error


def test_the_result_passes():
    assert run(None) == 7


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
@pytest.mark.parametrize("file", [None, "/data/table.txt"])
def test_a_full_disk_is_one_line(capsys, number, file):
    @cli_main
    def command():
        raise OSError(number, os.strerror(number), file)

    with pytest.raises(SystemExit) as caught:
        command()
    assert caught.value.code == 2
    what = f"{file or 'a file'} cannot be written: {os.strerror(number)}"
    assert capsys.readouterr().err == f"error: {what}; make room, or choose another folder\n"


def test_other_errors_of_the_system_are_bugs():
    @cli_main
    def command():
        raise OSError(errno.EBADF, "Bad file descriptor")

    with pytest.raises(OSError, match="Bad file"):
        command()
