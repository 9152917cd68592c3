"""What the commands' options have in common."""

import importlib

import pytest

from pytracking.commands import options as command_options
from pytracking.commands import track
from pytracking.evaluation.report import RunReport
from tests.helpers.evaluation_fakes import FakeSpec, write_sequence

COMMANDS = {
    "ebm-track": "pytracking.commands.track",
    "ebm-video": "pytracking.commands.video",
    "ebm-webcam": "pytracking.commands.webcam",
    "ebm-demo": "pytracking.commands.demo",
    "ebm-analyse": "pytracking.commands.analyse",
    "ebm-view": "pytracking.view.server",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_one_screen_with_an_example(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit, match="0"):
        importlib.import_module(COMMANDS[command]).main(["--help"])
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith(f"usage: {command} ")
    assert any(line.startswith("example") for line in shown)
    assert any(line.startswith(f"  {command}") for line in shown)
    assert len(shown) <= 50 and max(map(len, shown)) <= 100


@pytest.fixture
def track_options(tmp_path, monkeypatch):
    """Calls ebm-track on one sequence, and returns what is run and shown."""

    class FakeView:
        def __init__(self, *address):
            self.address, self.closed = address, None

        def close(self, complete):
            self.closed = complete

    write_sequence(tmp_path / "data", "one", 3)
    monkeypatch.setattr(track, "run_dataset", lambda *args, **options: runs.append(options) or RunReport(tmp_path))
    monkeypatch.setattr(track, "VisdomView", FakeView)
    monkeypatch.setattr(command_options, "TrackerSpec", FakeSpec)
    runs = []

    def call(*arguments):
        assert track.main(["fake", "still", "--dataset-name", str(tmp_path / "data"), *arguments]) == 0
        return runs[-1]

    return call


@pytest.mark.parametrize(
    ("arguments", "live"),
    [
        ([], False),
        (["--visdom"], True),
        (["--debug", "1"], True),
        (["--debug", "1", "--no_visdom"], False),
        (["--debug", "1", "--no-visdom"], False),
    ],
)
def test_the_live_view_is_shown_by_visdom_and_by_debug(track_options, arguments, live):
    view = track_options(*arguments)["view"]
    assert (view is not None) is live
    if live:
        assert view.address == ("localhost", 8097) and view.closed is True


def test_dashes_and_underscores_are_alike(track_options):
    for server, port in (("--visdom_server", "--visdom_port"), ("--visdom-server", "--visdom-port")):
        assert track_options("--visdom", server, "there", f"{port}=8098")["view"].address == ("there", 8098)


def test_the_port_may_be_in_the_address(track_options, capsys):
    assert track_options("--visdom", "--visdom_server", "http://a:8098/b")["view"].address == ("http://a:8098/b", 8098)
    assert (
        track_options("--visdom", "--visdom_server", "[::1]:8098", "--visdom_port", "8098")["view"].address[1] == 8098
    )
    for arguments, words in (
        (("--visdom_server", "a:8098", "--visdom_port", "8097"), "another port than --visdom_port 8097"),
        (("--visdom_port", "70000"), "--visdom_port 70000 is no port"),
    ):
        with pytest.raises(SystemExit):
            track_options("--visdom", *arguments)
        assert words in capsys.readouterr().err
