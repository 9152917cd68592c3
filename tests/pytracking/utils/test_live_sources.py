"""Sources on other machines that break off: streams come back after a gap, files go on at their place."""

import re
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from pytracking.utils import live_sources
from pytracking.utils.video_sources import open_source
from tests.helpers import video_files


class Breaking(BaseHTTPRequestHandler):
    """A server of one file that breaks off in the first answers."""

    content, cuts, ranges, asked = b"", 0, True, 0

    def do_GET(self):  # noqa: N802
        cls = type(self)
        place = re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) if self.ranges else None
        start = int(place[1]) if place else 0
        body = self.content[start:]
        self.send_response(206 if place else 200)
        self.send_header("Content-Length", str(len(body)))
        if place:
            self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.end_headers()
        cls.asked += 1
        if cls.asked <= self.cuts:
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Serves by a handler of HTTP; gives the address."""
    servers = []

    def start(handler):
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def noise(count=60):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_of_a_web_server_that_breaks_off(tmp_path, serve, capsys, ranges):
    """It goes on at its place; from a server that cannot begin there, what came is used, and that is said."""
    file = video_files.write(tmp_path / "a.mkv", images=noise())
    handler = type("Handler", (Breaking,), {"content": file.read_bytes(), "cuts": 2, "ranges": ranges})
    source = open_source(serve(handler) + "/a.mkv")
    assert not source.live
    count = len(list(source))
    shown = capsys.readouterr().err
    if ranges:
        assert count == 60 and not shown and not source.broke_off and handler.asked >= 3
    else:
        assert 10 < count < 60 and source.broke_off
        assert re.search(rf"a.mkv ends early.*: {count} frames are there and used", shown)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(live_sources, "_REOPENING", (0.05, 0.1, 0.2, 0.4))


def check_gap(source, frames, capsys):
    """One gap, in the middle, said and recorded."""
    (gap,) = source.gaps
    before, after = frames[gap.frame - 1], frames[gap.frame]
    assert (before.time, after.index) == (gap.time, gap.frame) and after.time - before.time == pytest.approx(
        gap.seconds, abs=0.02
    )
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert f"{source} goes on after {gap.seconds:.1f} s without a picture" in capsys.readouterr().err


def test_a_camera_that_sends_jpegs_comes_back(serve, quick, capsys):
    class Jpegs(BaseHTTPRequestHandler):
        sent = 0

        def do_GET(self):  # noqa: N802
            cls = type(self)
            if cls.sent >= 12:
                return self.send_error(503)
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for _ in range(6):
                jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 20 * cls.sent, np.uint8))[1].tobytes()
                cls.sent += 1
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
                self.wfile.write(jpeg + b"\r\n")
                threading.Event().wait(0.1)

        log_message = Breaking.log_message

    source = open_source(serve(Jpegs) + "/video")
    assert source.live
    frames = list(source)
    assert [round(frame.image.mean() / 20) for frame in frames] == list(range(12))
    check_gap(source, frames, capsys)
    assert frames[5].time - frames[3].time > 0.15  # as they come, and not at a guessed rate


def test_a_stream_over_tcp_dies_and_comes_back(tmp_path, quick, capsys):
    """The connection is reset, and for a while nothing listens there."""
    parts = [
        video_files.write(tmp_path / f"{i}.ts", images=noise(30)[10 * i : 10 * i + 10]).read_bytes() for i in (0, 1)
    ]

    def listen(port=0):
        server = socket.create_server(("127.0.0.1", port))
        server.settimeout(20)
        return server

    def send(server):
        for number, part in enumerate(parts):
            with server.accept()[0] as connection:
                connection.sendall(part)
                server.close()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0 if number else 1, 1))
            threading.Event().wait(0.3)
            if not number:
                server = listen(port)

    first = listen()
    port = first.getsockname()[1]
    thread = threading.Thread(target=send, args=(first,))
    thread.start()
    source = open_source(f"tcp://127.0.0.1:{port}")
    frames = list(source)
    thread.join()
    assert len(frames) >= 18
    check_gap(source, frames, capsys)
