"""Hostile messages for the live view: for its server, and for the tracker's side of the connection.

python -m tests.helpers.hostile_view --rounds 20000     # a long run against a server of its own; prints counts
"""

import argparse
import collections
import json
import random
import socket
import tempfile
from pathlib import Path

from pytracking.view.live.blocks import POSITIONS, SWITCHABLE
from pytracking.view.live.client import parse_event
from pytracking.view.live.controls import Controls
from tests.helpers.live_page import Server

NAMES = ("main", "", ".", "..", "../..", "/", "/etc/passwd", "a/b", "a\\b", "a\0b", "\n", "🦊", "\ud800", "x" * 10_000)
PATHS = (
    *("events", "update", "close", "env/main", "compare/main+main", "save", "win_exists", "win_data", "delete_env"),
    *("win_hash", "env_state", "fork_env", "vis_socket_wrap", "socket_wrap", "user/style.css", "error/x", "", "socket"),
    *("env/..%2f..%2fx", "compare/..%2f+%00", "static/../VERSION", "static/%2e%2e/__init__.py", "%ff", "a" * 3000),
)
COMMANDS = (
    *("close", "save", "delete_env", "save_layouts", "forward_to_vis", "layout_item_update", "pop_embeddings_pane"),
    *("echo", "unknown"),
)
RAW = (b"", b"5", b"null", b"{bad", b"[" * 50_000, b"\xff\xfe", b"9" * 5_000, b'"text"', b"[]", b"{}", b'{"eid": NaN}')
KEYS = ("eid", "prev_eid", "win", "data", "cmd", "target", "event_type", "key", "propertyId", "value", "opts", "layout")


def value(random_, depth=0):
    """Any JSON, of the words that visdom knows."""
    kind = random_.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return random_.choice((None, True, -1, 1e308, 10**400, 0))
    if kind == 1:
        return random_.choice(("KeyPress", "PropertyUpdate", "close", " ", "ArrowRight", "text", "heatmap", "scatter"))
    if kind < 4:
        return random_.choice(NAMES)
    if kind == 4:
        return random_.choice([*POSITIONS])
    if kind == 5:
        return random_.choice(COMMANDS)
    if kind == 6:
        return [value(random_, depth + 1) for _ in range(random_.randrange(3))]
    return {random_.choice((*KEYS, "type", "content")): value(random_, depth + 1) for _ in range(random_.randrange(5))}


def message(random_):
    """Bytes of a message: of visdom's form more or less, cut or changed in a place, or junk."""
    if random_.random() < 0.1:
        return random_.choice(RAW)
    content = value(random_)
    if random_.random() < 0.7:
        content = {key: value(random_, 2) for key in random_.sample(KEYS, random_.randrange(len(KEYS)))}
        content["cmd"] = random_.choice(COMMANDS)
        if random_.random() < 0.5:
            content["data"] = [
                {"type": random_.choice(("text", "scatter", "heatmap", 5)), "content": value(random_, 3)}
            ]
        if random_.random() < 0.5:
            content["eid"] = "main"
    encoded = bytearray(json.dumps(content).encode())
    if encoded and random_.random() < 0.2:
        encoded[random_.randrange(len(encoded))] = random_.randrange(256)
    if random_.random() < 0.1:
        del encoded[random_.randrange(len(encoded) + 1) :]
    return bytes(encoded)


def fuzz_events(rounds, seed=0):
    """Give messages to the tracker's side, and return counts of what became of them. Nothing may be raised."""
    random_ = random.Random(seed)
    controls = Controls(SWITCHABLE)
    counts = collections.Counter()
    for _ in range(rounds):
        event = parse_event(message(random_))
        counts["ignored" if event is None else "handled"] += 1
        if event is not None:
            controls.handle(event)
    assert set(controls.blocks) == set(SWITCHABLE) and all(type(on) is bool for on in controls.blocks.values())
    return counts


def fuzz_server(port, rounds, seed=0):
    """Send messages to a server, and return counts of its answers.

    Raises:
        requests.RequestException: if it does not answer any more.
    """
    import requests

    random_ = random.Random(seed)
    counts = collections.Counter()
    address = f"localhost:{port}"
    with requests.Session() as session:
        for _ in range(rounds):
            kind = random_.random()
            if kind < 0.6:
                verb = random_.choices(("POST", "GET", "PUT", "DELETE"), (20, 3, 1, 1))[0]
                request = requests.Request(verb, f"http://{address}/", data=message(random_))
                prepared = session.prepare_request(request)
                prepared.url = f"http://{address}/{random_.choice(PATHS)}"  # as it is: `requests` would simplify it
                counts[f"{verb} {session.send(prepared, timeout=30).status_code}"] += 1
            elif kind < 0.9:
                _speak(random_, address, counts)
            else:
                with socket.create_connection(("localhost", port), 10) as raw:
                    raw.sendall(random_.randbytes(random_.randrange(1, 2000)))
                counts["no HTTP"] += 1
        assert session.get(f"http://{address}/", timeout=30).ok, "the page is not served any more"
    return counts


def _speak(random_, address, counts):
    import websocket

    page = websocket.create_connection(f"ws://{address}/{random_.choice(('socket', 'vis_socket'))}", 10)
    for _ in range(5):
        kind = random_.choice((websocket.ABNF.OPCODE_TEXT, websocket.ABNF.OPCODE_BINARY))
        try:
            page.send(message(random_), kind)
        except OSError:  # text that is not UTF-8 ends a connection, by its standard
            counts["WebSocket ended"] += 1
            return
        counts["WebSocket"] += 1
    random_.choice((page.close, page.shutdown))()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("tracker's side:", dict(fuzz_events(options.rounds, options.seed)))
    with tempfile.TemporaryDirectory() as folder:
        server = Server("--env_path", str(Path(folder, "views")))
        server.start()
        before = server.memory()
        try:
            counts = fuzz_server(server.port, options.rounds, options.seed)
            after = server.memory()
        finally:
            server.kill()
        outside = [path.name for path in Path(folder).iterdir()]
        print("server:", dict(sorted(counts.items())))
        print(f"log: {len(server.output())} characters; memory: {before} MB before, {after} MB after; wrote: {outside}")


if __name__ == "__main__":
    main()
