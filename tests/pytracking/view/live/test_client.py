"""The connection without a server or with another one; test_browser has a real server."""

import http.server
import socket
import threading
import time

import pytest

from pytracking.view.live import client as client_module
from pytracking.view.live.client import ServerError, VisdomClient, VisdomWindow, WindowPosition

pytest.importorskip("requests")
pytest.importorskip("websocket")


def client(port, server="localhost", lost=None):
    return VisdomClient(server, port, {"A": WindowPosition(0, 0, 30, 20)}, lambda event: None, lost or (lambda: None))


@pytest.fixture
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


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


def test_a_missing_server_is_reported_at_once(free_port):
    start = time.monotonic()
    with pytest.raises(ServerError, match="no connection"):
        client(free_port).connect()
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


def test_a_proxy_of_the_environment_is_not_asked(free_port, other_server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{other_server}")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ServerError, match="no connection"):
        client(free_port).connect()


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
