"""The live view's server against hostile requests: a real server, and clients that are not browsers."""

import json
import socket
from concurrent.futures import Future

import pytest

from pytracking.view.bounded_log import LINES, WIDTH
from pytracking.view.live.client import ServerError, VisdomClient, VisdomWindow
from tests.helpers.comparing import wait_for
from tests.helpers.hostile_view import fuzz_server
from tests.helpers.live_page import Server

requests = pytest.importorskip("requests")
websocket = pytest.importorskip("websocket")

LOG = (LINES + 3) * (WIDTH + 1)
"""Characters that it writes at most."""


@pytest.fixture
def folder(tmp_path):
    """The server's own folder; what lies beside it is not its own."""
    return tmp_path / "views"


@pytest.fixture(scope="module")
def started(visdom_page, module_folder):
    server = Server("--env_path", str(module_folder / "views"), "--allow_host", "view.example.org")
    server.folder = module_folder / "views"
    server.start()
    yield server
    server.kill()
    assert len(server.output()) <= LOG and "Traceback" not in server.output()


@pytest.fixture
def server(started):
    yield started
    assert started.process.poll() is None
    for name in environments(started):
        if name != "main":
            post(started, "delete_env", {"eid": name})


def post(server, path, message, **headers):
    content = message if isinstance(message, (bytes, str)) else json.dumps(message)
    return requests.post(f"{server.address}/{path}", content, headers=headers, timeout=30)


def environments(server):
    return post(server, "env_state", {}).json()


def page(server, **options):
    """A WebSocket like that of an open page."""
    options.setdefault("suppress_origin", True)
    connection = websocket.create_connection(f"ws://localhost:{server.port}/socket", 10, **options)
    assert json.loads(connection.recv())["command"] == "register"
    return connection


def windows(server):
    return post(server, "win_data", {"win": None, "eid": "main"}).json()


@pytest.mark.parametrize("path", ["", "static/js/main.js", "user/style.css", "env/main", "nothing"])
def test_a_foreign_name_is_refused_everywhere(server, path):
    for headers in ({"Host": f"evil.test:{server.port}"}, {"Origin": "http://evil.test"}):
        answer = requests.get(f"{server.address}/{path}", headers=headers, timeout=30)
        assert answer.status_code == 403 and "--allow_host" in answer.text
        assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["socket", "vis_socket"])
def test_a_foreign_page_has_no_websocket(server, path):
    for options in ({"origin": "http://evil.test"}, {"host": "evil.test", "suppress_origin": True}):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            websocket.create_connection(f"ws://localhost:{server.port}/{path}", 10, **options)
        assert refused.value.status_code == 403


def test_a_foreign_page_s_post_changes_nothing_and_takes_no_memory(server):
    assert post(server, "env/x", {"eid": "x"}, Origin="http://evil.test").status_code == 403
    before = server.memory()
    junk = b"0" * (30 * 2**20)
    for _ in range(3):
        assert post(server, "events", junk, Origin="http://evil.test").status_code == 403
    assert environments(server) == ["main"] and server.memory() < before + 20


def test_a_proxy_s_name_is_answered_if_it_is_allowed(server):
    for headers in ({"Host": "view.example.org", "Origin": "https://view.example.org"}, {"Host": "localhost:9000"}):
        assert requests.get(server.address, headers=headers, timeout=30).ok
    page(server, suppress_origin=False, origin="https://view.example.org").close()


def test_no_page_may_show_the_view_inside_of_it(server):
    headers = requests.get(server.address, timeout=30).headers
    assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize("over", ["HTTP", "WebSocket"])
def test_nothing_outside_its_folder_is_saved_or_deleted(server, over):
    victim = server.folder.parent / "run.json"
    victim.write_text("{}")
    for name in (str(victim.with_suffix("")), "../run", "..\\run", "/../run", " ../run"):
        post(server, "env/x", {"eid": name})
        post(server, "events", {"eid": name, "win": "A", "data": [{"type": "text", "content": "mine"}]})
        if over == "HTTP":
            post(server, "save", {"data": [name]})
            post(server, "fork_env", {"prev_eid": name, "eid": name})
            post(server, "delete_env", {"eid": name})
        else:
            connection = page(server)
            connection.send(json.dumps({"cmd": "save", "prev_eid": "main", "eid": name, "data": {}}))
            connection.send(json.dumps({"cmd": "delete_env", "eid": name}))
            connection.close()
    assert environments(server)
    assert victim.read_text() == "{}"
    assert {path.name for path in server.folder.parent.iterdir()} == {"run.json", "views"}


@pytest.mark.parametrize(
    "name", ["a/b", "..", "a\0b", "🦊", "x" * 199, "</script><script>alert(1)", "'\\", "%2e%2e%2f"]
)
def test_a_view_of_any_name_is_saved_shown_and_deleted(server, name):
    assert post(server, "events", {"eid": name, "win": "A", "data": [{"type": "text", "content": ""}]}).ok
    (kept,) = set(environments(server)) - {"main"}
    assert post(server, "save", {"data": [name]}).json() == [kept]
    assert f"{kept}.json" in {path.name for path in server.folder.iterdir()}
    html = requests.get(f"{server.address}/env/{requests.utils.quote(kept)}", timeout=30).text
    assert "<script>alert" not in html and "\\" not in html.split("ENV_LIST")[1].split("</script>")[0]
    assert post(server, "delete_env", {"eid": name}).ok
    assert environments(server) == ["main"] and f"{kept}.json" not in {path.name for path in server.folder.iterdir()}


def test_a_name_that_is_no_file_s_is_refused_in_a_sentence(server):
    for name in ("x" * 10_000, 5, ["main"]):
        answer = post(server, "env/x", {"eid": name})
        assert answer.status_code == 400 and "an environment's name" in answer.text
    assert environments(server) == ["main"]


def test_a_post_of_100_mb_is_cut(server):
    before = server.memory()
    try:
        assert post(server, "events", b"0" * 10**8).status_code == 400
    except requests.ConnectionError:
        pass  # the server has closed the connection before all was sent
    assert server.memory() < before + 50 and environments(server)


def test_a_page_s_message_of_100_mb_is_cut(server):
    connection, other = page(server), page(server)
    connection.sock.sendall(b"\x82\xff" + (10**8).to_bytes(8, "big") + bytes(4))  # the header
    while (received := connection.recv_data(control_frame=True))[0] != websocket.ABNF.OPCODE_CLOSE:
        pass
    assert b"too big" in received[1]
    other.ping()
    while other.recv_data(control_frame=True)[0] != websocket.ABNF.OPCODE_PONG:
        pass


def test_a_page_that_takes_nothing_is_disconnected_once_much_waits_for_it(visdom_page, monkeypatch):
    from tornado.websocket import WebSocketHandler

    from pytracking.view import guarded

    class Written(WebSocketHandler):
        def __init__(self):
            self.futures, self.closed = [], False

        def write_message(self, message, binary):
            self.futures.append(Future())
            return self.futures[-1]

        def close(self):
            self.closed = True

    now = 0.0
    monkeypatch.setattr(guarded.time, "monotonic", lambda: now)
    socket = type("Socket", (guarded._GuardedSocket, Written), {})()
    message = "0" * (guarded.MAX_UNSENT // 4)
    for _ in range(5):  # a page that was just opened gets much at once
        socket.write_message(message)
    now += guarded.STALLED - 1
    for future in socket.futures:
        future.set_result(None)
    for _ in range(5):
        socket.write_message(message)
    assert len(socket.futures) == 10 and not socket.closed
    now += guarded.STALLED + 1
    socket.write_message("")
    assert len(socket.futures) == 10 and socket.closed


def test_200_junk_clients_leave_a_short_log_and_a_working_view(server):
    for number in range(200):
        with socket.create_connection(("localhost", server.port), 10) as raw:
            raw.sendall(b"\x16\x03\x01" + bytes([number % 256]) * 500 if number % 2 else b"POST / HTTP/9.9\r\n\r\n")
        if number % 5 == 0:
            connection = page(server)
            for junk in ("5", "null", "{bad", f'{{"cmd": "close", "data": "{number}", "eid": "{number}"}}'):
                connection.send(junk)
            connection.close()
        post(server, "update", {"win": "none", "eid": str(number)})
    assert windows(server) == {}


def test_fuzzed_messages_change_nothing_outside(server):
    memory = server.memory()
    counts = fuzz_server(server.port, 300)
    assert counts["WebSocket"] > 100 and counts["POST 200"] > 5
    assert {path.name for path in server.folder.parent.iterdir()} <= {"run.json", "views"}
    assert server.memory() < memory + 50
    post(server, "env/main", {"eid": "main"})


def test_our_client_shows_windows_and_receives_events_of_the_page(server):
    events, lost = [], []
    client = VisdomClient("localhost", server.port, {}, events.append, lambda: lost.append(1))
    client.connect()
    assert client.guarded
    client.show(VisdomWindow("A", [{"type": "text", "content": "shown"}]))
    assert windows(server)["A"]["content"] == "shown"
    opened = page(server)
    for junk in ("5", "null", "{bad", "[]"):
        opened.send(junk)
    for data in (5, {"event_type": "KeyPress", "key": " ", "target": "A", "eid": "main"}):
        opened.send(json.dumps({"cmd": "forward_to_vis", "data": data}))
    wait_for(lambda: events)
    assert events[0]["key"] == " " and not lost
    client.hide("A")
    client.close()


def test_our_client_is_told_why_it_is_refused(server, monkeypatch):
    client = VisdomClient("localhost", server.port, {}, print, print)
    monkeypatch.setattr(client, "address", f"http://LOCALHOST.evil.test@localhost:{server.port}")
    monkeypatch.setattr(requests.Session, "post", _as_another_host(requests.Session.post))
    with pytest.raises(ServerError, match="403 Forbidden: .*--allow_host gpu08"):
        client.connect()


def _as_another_host(post):
    return lambda session, url, **named: post(session, url, headers={"Host": "gpu08"}, **named)


def test_visdom_s_own_client_works(server):
    import visdom

    client = visdom.Visdom(server.address.rpartition(":")[0], port=server.port, env="mine/1", raise_exceptions=True)
    events = []
    window = client.text("shown", opts={"title": "B"})
    client.register_event_handler(events.append, window)
    line = client.line([1, 2], [0, 1])
    client.line([3], [2], win=line, update="append")
    assert client.win_exists(window) and json.loads(client.get_window_data(line))["content"]["data"][0]["y"] == [
        1,
        2,
        3,
    ]
    opened = page(server)
    event = {"event_type": "KeyPress", "key": "a", "target": window, "eid": "mine/1"}
    opened.send(json.dumps({"cmd": "forward_to_vis", "data": event}))
    wait_for(lambda: events)
    assert client.save(["mine/1"]) and (server.folder / "mine_1.json").is_file()
    client.delete_env("mine/1")
    assert not (server.folder / "mine_1.json").exists()
    client.use_socket = False
