"""The command that starts the live view's server."""

import signal
import socket
import subprocess

import pytest

from pytracking.view import server
from pytracking.view.page_scripts import VisdomPackage
from tests.helpers.live_page import Server


def error_of(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        server.main(arguments)
    assert exit_.value.code == 2
    return capsys.readouterr().err


def test_without_the_page_s_scripts_the_error_says_how_to_install_them(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(VisdomPackage, "find", lambda: VisdomPackage(tmp_path, "0.2.4"))
    error = error_of(capsys)
    assert "bash install.sh --visdom" in error and "python -m visdom.server" in error


@pytest.mark.parametrize("port", ["0", "70000", "http"])
def test_a_wrong_port_is_named(port, capsys):
    assert repr(port) in error_of(capsys, "--port", port)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert "--env_path" in error_of(capsys, "--env_path", str(tmp_path / "file" / "views"))


def test_a_taken_port_is_reported_in_one_line(visdom_page, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        error = error_of(capsys, "--port", str(port))
    assert f"port {port} is taken" in error and "--port" in error and error.count("\n") == 1


def test_a_host_that_cannot_be_is_reported_in_one_line(visdom_page, capsys):
    for host in ("no.such.host.invalid", "x" * 70):
        error = error_of(capsys, "--host", host)
        assert "--host" in error and error.count("\n") == 1


def test_a_name_that_cannot_be_allowed_is_named(capsys):
    assert "--host 'http://host'" in error_of(capsys, "--allow_host", "http://host")


def test_a_folder_of_views_that_cannot_be_read_is_named(visdom_page, tmp_path, capsys):
    (tmp_path / "view").mkdir()
    (tmp_path / "view" / "layouts.json").write_bytes(b"\xff")
    error = error_of(capsys, "--env_path", str(tmp_path))
    assert str(tmp_path) in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("127.0.0.1", []),
        ("localhost", []),
        ("::1", []),
        ("", [socket.gethostname()]),
        ("0.0.0.0", [socket.gethostname()]),
        ("gpu07", ["gpu07"]),
    ],
)
def test_listening_to_other_machines_it_answers_under_this_machine_s_name(host, names):
    assert server._own_names(host) == names


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_and_leaves_nothing_behind(visdom_page, tmp_path, monkeypatch, end):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    started = Server()
    started.start()
    assert list(tmp_path.iterdir())
    started.process.send_signal(end)
    try:
        assert started.process.wait(60) == 0
    except subprocess.TimeoutExpired:
        started.kill()
        raise
    assert not list(tmp_path.iterdir())
    assert "Traceback" not in started.output()
