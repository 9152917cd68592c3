"""The connection without a server or with another one; test_browser has a real server."""

import http.server
import socket
import threading
import time

import pytest

from ltr.common.errors import UserError
from pytracking.view.live import client as client_module
from pytracking.view.live.client import ServerError, VisdomClient, VisdomWindow, WindowPosition, parse_event
from tests.helpers.hostile_view import fuzz_events
from tests.helpers.ports import free_port

pytest.importorskip("requests")
pytest.importorskip("websocket")


def client(port, server="localhost", lost=None):
    return VisdomClient(server, port, {"A": WindowPosition(0, 0, 30, 20)}, lambda event: None, lost or (lambda: None))


@pytest.fixture
def other_server():
    """A web server that is not visdom's."""

    class NotFound(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_error(404)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), NotFound)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_the_address_may_be_a_name_or_have_a_scheme():
    assert client(8097).address == "http://localhost:8097"
    assert client(80, "https://example.org").address == "https://example.org:80"
    assert client(80, "http://127.0.0.1/").address == "http://127.0.0.1:80"


@pytest.mark.parametrize(
    ("server", "address", "socket_address"),
    [
        ("host:8098", "http://host:8098", "ws://host:8098"),
        ("http://host:8098/path/", "http://host:8098/path", "ws://host:8098/path"),
        ("https://host/a/b", "https://host:8097/a/b", "wss://host:8097/a/b"),
        ("[::1]:8098", "http://[::1]:8098", "ws://[::1]:8098"),
        ("[::1]", "http://[::1]:8097", "ws://[::1]:8097"),
        ("::1", "http://[::1]:8097", "ws://[::1]:8097"),
        ("HTTP://[fe80::1]:80/x", "http://[fe80::1]:80/x", "ws://[fe80::1]:80/x"),
        ("host/path", "http://host:8097/path", "ws://host:8097/path"),
    ],
)
def test_no_part_of_an_address_is_dropped(server, address, socket_address):
    made = client(8097, server)
    assert (made.address, made._socket_address) == (address, socket_address)


@pytest.mark.parametrize(
    "server",
    [
        "",
        "http://",
        "ws://host:8097",
        "host:port",
        "host:99999",
        "host:0",
        "http://[::1",
        "user:pw@host",
        "host/?a=1",
        "host#a",
        "two words",
    ],
)
def test_an_address_that_cannot_be_used_whole_is_refused(server):
    with pytest.raises(UserError, match=r"--visdom_server .*give a host \(localhost\) or an address \(http://"):
        client(8097, server)


def test_a_missing_server_is_reported_at_once():
    start = time.monotonic()
    with pytest.raises(ServerError, match="no connection"):
        client(free_port()).connect()
    assert time.monotonic() - start < 2


def test_another_server_is_named_by_its_answer(other_server):
    with pytest.raises(ServerError, match="404"):
        client(other_server).connect()


def test_a_server_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(client_module, "TIMEOUT", 0.2)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        with pytest.raises(ServerError, match="does not answer"):
            client(deaf.getsockname()[1]).connect()


def test_a_proxy_of_the_environment_is_not_asked(other_server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{other_server}")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ServerError, match="no connection"):
        client(free_port()).connect()


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "websocket", None)
    with pytest.raises(ServerError, match="websocket"):
        client(1).connect()


def test_losing_the_server_is_reported_once(other_server):
    told = []
    lost = client(other_server, lost=lambda: told.append(1))
    lost._http = __import__("requests").Session()
    lost._connected = True
    for _ in range(2):
        with pytest.raises(ServerError):
            lost.show(VisdomWindow("A", [{"type": "text", "content": ""}]))
    assert told == [1] and not lost.connected
    lost.close()


def test_a_position_in_pixels_leaves_room_for_the_bar():
    assert WindowPosition(0, 0, 100, 20).pixels == (1260, 276)


def test_a_listener_whose_connection_was_closed_while_nothing_came_ends_quietly():
    import websocket

    class Closed:
        def settimeout(self, seconds):
            pass

        def recv_data(self, control_frame):
            raise websocket.WebSocketTimeoutException

        def ping(self):
            raise websocket.WebSocketConnectionClosedException("socket is already closed.")

    told = []
    listening = client(1, lost=lambda: told.append(1))
    listening._listen(Closed())  # not the current connection: no report
    assert not told


@pytest.mark.parametrize(
    "content",
    [b"", b"5", b"null", b"{bad", b"[]", b'"event_type"', b"[" * 100_000, b"9" * 10_000, b"\xff", b"{}"]
    + [b'{"event_type": "close", "eid": "another"}'],
)
def test_a_message_that_is_no_event_is_ignored(content):
    assert parse_event(content) is None


def test_a_listener_goes_on_after_any_message():
    import websocket

    class Junk:
        messages = [b"5", b"null", b"{bad", b'{"event_type": "close", "target": "A"}']

        def settimeout(self, seconds):
            pass

        def recv_data(self, control_frame):
            if not self.messages:
                raise websocket.WebSocketConnectionClosedException("closed")
            return websocket.ABNF.OPCODE_TEXT, self.messages.pop(0)

    heard = []
    listening = VisdomClient("localhost", 1, {}, heard.append, lambda: None)
    listening._listen(Junk())
    assert heard == [{"event_type": "close", "target": "A"}]


def test_fuzzed_messages_raise_nothing():
    assert fuzz_events(2000)["handled"] > 200
