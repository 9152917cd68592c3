"""A connection to visdom's server: windows go out by HTTP, the page's events come in by a WebSocket.

visdom's own client does not serve here: it waits without limit for a server that hangs, prints tracebacks when one goes
away, and its thread cannot be ended.
"""

from __future__ import annotations

import ipaddress
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ltr.common.errors import UserError
from pytracking.view.gate import MARK

DEFAULT_PORT = 8097

CONNECT_TIMEOUT = 3.0  # seconds
TIMEOUT = 10.0
_PING_INTERVAL = 15.0  # seconds of silence after which the connection is tested
_ENVIRONMENT = "main"  # visdom's word for a set of windows


class ServerError(Exception):
    """The server cannot be reached, or does not answer as one of visdom's. The message is the reason."""


@dataclass(frozen=True)
class WindowPosition:
    """Where a window is at first: in columns of 12.7 pixels and rows of 15 pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height of the window's content, without the gaps beside it and its bar."""
        return int(self.width * 12.7) - 10, self.height * 15 - 10 - 14


@dataclass(frozen=True)
class VisdomWindow:
    """A window of the page.

    Attributes:
        title: also its name.
        data: visdom's content: plotly's traces, or one dict with `type` and `content`.
        layout: plotly's, for plots.
    """

    title: str
    data: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any] | None = None


class ServerAddress(NamedTuple):
    """The parts of a server's address; `host` has brackets if it is one of IPv6, `path` no slash at its end."""

    scheme: str
    host: str
    port: int | None
    path: str


def split_address(text: str) -> ServerAddress:
    """The parts of an address as people give it: a host, with or without scheme, port and path; IPv6 with or without
    brackets.

    Raises:
        UserError: if a part is missing, cannot be, or would not be used.
    """
    example = "give a host (localhost) or an address (http://localhost:8097/path)"
    try:
        ipaddress.IPv6Address(text)
        text = f"[{text}]"
    except ValueError:
        pass
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
    except ValueError as error:
        raise UserError(f"--visdom_server {text} is no address ({error}): {example}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", text) or port == 0:
        raise UserError(f"--visdom_server {text} is no address of a visdom server: {example}")
    if parts.username is not None or parts.query or parts.fragment:
        raise UserError(f"--visdom_server {text} has a user name, a query or a fragment, which are not used: {example}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return ServerAddress(parts.scheme, host, port, parts.path.rstrip("/"))


def parse_event(content: bytes) -> Mapping[str, Any] | None:
    """An event of the page, from a message of the server; None for any other message."""
    try:
        event = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or "event_type" not in event or event.get("eid", _ENVIRONMENT) != _ENVIRONMENT:
        return None
    return event


class VisdomClient:
    """Shows windows in visdom's page and receives the page's events.

    Args:
        server: host name, or an address such as 'https://example.org/visdom'.
        port: the server's, if the address has none.
        positions: of the windows, by title.
        on_event: called with each event of the page, from a thread of this client.
        on_lost: called when the connection ends otherwise than by :meth:`close`; from any thread.

    Raises:
        UserError: if there can be no such address.
    """

    def __init__(
        self,
        server: str,
        port: int,
        positions: Mapping[str, WindowPosition],
        on_event: Callable[[Mapping[str, Any]], None],
        on_lost: Callable[[], None],
    ):
        address = split_address(server)
        where = f"{address.host}:{address.port or port}{address.path}"
        self.address = f"{address.scheme}://{where}"
        self._socket_address = f"{'wss' if address.scheme == 'https' else 'ws'}://{where}"
        self._positions = positions
        self._on_event, self._on_lost = on_event, on_lost
        self._made: set[str] = set()
        self._lock = threading.Lock()
        self._connected = False
        self._guarded = False
        self._http: Any = None
        self._socket: Any = None

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def guarded(self) -> bool:
        """Whether the server refuses pages of other sites: it is `ebm-view`, not visdom's own."""
        return self._guarded

    def connect(self) -> None:
        """Connect to the server and arrange the windows.

        Raises:
            ServerError: if that fails.
        """
        try:
            import requests
            import websocket
        except ImportError as error:
            raise ServerError(f"the package {error.name} is not installed") from None
        self.close()
        self._made.clear()
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy: the server is nearly always on this machine
        self._guarded = MARK in self._post(f"env/{_ENVIRONMENT}", {"eid": _ENVIRONMENT})
        try:
            self._arrange(websocket)
            self._socket = self._open_socket(websocket, "vis_socket")
        except (OSError, websocket.WebSocketException) as error:
            raise ServerError(f"it takes no WebSocket: {_first_line(error)}") from None
        self._connected = True
        threading.Thread(target=self._listen, args=(self._socket,), name="visdom events", daemon=True).start()

    def show(self, window: VisdomWindow) -> None:
        """Make a window, or change its content.

        Raises:
            ServerError: if the server is gone.
        """
        message = {"win": window.title, "eid": _ENVIRONMENT, "data": window.data, "layout": window.layout or {}}
        options: dict[str, Any] = {"title": window.title}
        if window.title not in self._made and window.title in self._positions:
            # An open page takes a new window's size from here. Sent every time, it would undo the user's resizing.
            width, height = self._positions[window.title].pixels
            self._post("events", {**message, "opts": {**options, "width": width, "height": height}})
        self._post("events", {**message, "opts": options})
        self._made.add(window.title)

    def hide(self, title: str) -> None:
        """Close a window.

        Raises:
            ServerError: if the server is gone.
        """
        self._made.discard(title)
        self._post("close", {"win": title, "eid": _ENVIRONMENT})

    def forget(self, title: str) -> None:
        """The user closed that window: the next :meth:`show` makes it again."""
        self._made.discard(title)

    def close(self) -> None:
        """Close the connection. The page keeps what it shows."""
        with self._lock:
            self._connected = False
            socket, self._socket = self._socket, None
        if socket is not None:
            socket.shutdown()
        if self._http is not None:
            self._http.close()

    def _post(self, path: str, message: Mapping[str, Any]) -> Mapping[str, str]:
        """Send a message and return the headers of the answer, in which case does not matter."""
        import requests

        try:
            answer = self._http.post(
                f"{self.address}/{path}", data=json.dumps(message, allow_nan=False), timeout=(CONNECT_TIMEOUT, TIMEOUT)
            )
        except requests.Timeout:
            reason = "it does not answer"
        except requests.RequestException:
            reason = "there is no connection"
        else:
            if answer.ok:
                return answer.headers
            reason = f"it answers {answer.status_code} {answer.reason}"
            if MARK in answer.headers:
                reason += f": {answer.text.strip()}"
        self._lost()
        raise ServerError(reason)

    def _arrange(self, websocket: Any) -> None:
        """Tell the server where windows go in pages opened from now on, as a page does when a user moves them."""
        page = self._open_socket(websocket, "socket")
        for title, at in self._positions.items():
            size = {"w": at.width, "h": at.height, "width": at.width, "height": at.height}
            item = {"i": title, "x": at.x, "y": at.y, **size, "moved": False, "static": False}
            page.send(json.dumps({"cmd": "layout_item_update", "eid": _ENVIRONMENT, "win": title, "data": item}))
        page.close()

    def _open_socket(self, websocket: Any, path: str) -> Any:
        return websocket.create_connection(
            f"{self._socket_address}/{path}",
            timeout=CONNECT_TIMEOUT,
            http_no_proxy=["*"],
            suppress_origin=True,  # only pages have one
        )

    def _listen(self, socket: Any) -> None:
        """Receive the page's events until the connection ends."""
        import websocket

        socket.settimeout(_PING_INTERVAL)
        silent = False
        while True:
            try:
                opcode, content = socket.recv_data(control_frame=True)
                silent = False
            except websocket.WebSocketTimeoutException:
                if silent:
                    break
                silent = True
                try:
                    socket.ping()
                except (OSError, websocket.WebSocketException):  # it was closed while nothing came
                    break
                continue
            except (OSError, websocket.WebSocketException):
                break
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                break
            event = parse_event(content) if opcode == websocket.ABNF.OPCODE_TEXT else None
            if event is not None:
                self._on_event(event)
        if socket is self._socket:
            self._lost()

    def _lost(self) -> None:
        with self._lock:
            was_connected, self._connected = self._connected, False
        if was_connected:
            self._on_lost()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
