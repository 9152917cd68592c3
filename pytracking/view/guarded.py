"""visdom's server behind a gate: its own handlers, each with what they lack against hostile pages and messages.

Every request passes :meth:`GuardedApplication.get_handler_delegate`. There the gate refuses it, and its body is
not kept, or one of visdom's handlers gets it, mixed with a class of this file.
"""

from __future__ import annotations

import logging
import time
from functools import cache
from typing import Any

from tornado.escape import json_encode
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler, stream_request_body
from tornado.websocket import WebSocketClosedError, WebSocketHandler
from visdom.server import app as visdom_app
from visdom.server.handlers import socket_handlers, web_handlers

from pytracking.view.gate import MARK, Gate
from pytracking.view.messages import BadMessageError, checked, environment_name

MAX_POST = 32 * 2**20
"""Bytes of a request's body: a window's content, the largest of which are pictures and videos."""
MAX_MESSAGE = 2**20
"""Bytes of a WebSocket's message, which tells of a key, a click or the windows' places."""
MAX_UNSENT = 64 * 2**20
"""Bytes that may wait for a page which takes nothing; beyond them it is disconnected."""
STALLED = 30.0
"""Seconds in which such a page took no message to its end."""
MAX_ENVIRONMENTS = 1000
BODY_TIMEOUT = 60.0  # seconds

_HEADERS = {
    MARK: "1",
    "Content-Security-Policy": "frame-ancestors 'self'",  # otherwise a page could have its user click and type in it
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# What a page without WebSockets polls, which no page of this server does; and a page for tests of visdom.
_NOT_SERVED = (socket_handlers.SocketWrap, web_handlers.ErrorHandler)
_log = logging.getLogger("ebm-view")


class Environments(dict[str, Any]):
    """visdom's environments by name. It saves and deletes none that is not here, and none is here whose name could
    lead out of the server's folder."""

    def __setitem__(self, name: str, environment: Any) -> None:
        if environment_name(name) != name:
            raise BadMessageError("an environment's name is not a path")
        if name not in self and len(self) >= MAX_ENVIRONMENTS:
            raise BadMessageError(f"there are {MAX_ENVIRONMENTS} environments already")
        super().__setitem__(name, environment)


class GuardedApplication(visdom_app.Application):
    """visdom's application behind a gate.

    Args:
        gate: refuses requests.
        arguments: visdom's.
    """

    def __init__(self, gate: Gate, **arguments: Any):
        self._gate = gate
        visdom_app.tornado_settings.update(
            autoreload=False,  # otherwise the server restarts whenever a module's file changes
            websocket_max_message_size=MAX_MESSAGE,
        )
        super().__init__(base_url="", **arguments)

    def serve_at(self, port: int, address: str) -> None:
        """Listen.

        Raises:
            OSError: if that is not possible.
        """
        self.listen(port, address, max_buffer_size=MAX_POST, max_body_size=MAX_POST, body_timeout=BODY_TIMEOUT)

    def load_state(self) -> Environments:
        state = Environments()
        for name, environment in super().load_state().items():
            try:
                state[name] = environment
            except BadMessageError:
                _log.warning("the view '%s' of the folder is left out: its name is not one of visdom's", name)
        return state

    def get_handler_delegate(self, request: HTTPServerRequest, target_class: Any, *arguments: Any, **named: Any) -> Any:
        reason = self._gate.refusal(request.method or "", request.headers)
        if reason is not None:
            _log.warning("refused: %s", reason)
            return super().get_handler_delegate(request, _Refused, {"status": 403, "reason": reason})
        if issubclass(target_class, _NOT_SERVED):
            return super().get_handler_delegate(request, _Refused, {"status": 404, "reason": "there is no such page"})
        return super().get_handler_delegate(request, _guarded(target_class), *arguments, **named)


@stream_request_body
class _Refused(RequestHandler):
    """Answers a refused request. Its body is read, so that the answer is not lost, and not kept."""

    def initialize(self, status: int, reason: str) -> None:
        self._refusal = status, reason

    def set_default_headers(self) -> None:
        _set_headers(self)

    def data_received(self, chunk: bytes) -> None:
        pass

    def _refuse(self) -> None:
        _answer(self, *self._refusal)

    get = post = put = delete = patch = head = options = _refuse


class _Guarded(RequestHandler):
    """A handler of visdom that is given checked messages only, and reports a failure in one line."""

    def set_default_headers(self) -> None:
        _set_headers(self)

    def prepare(self) -> None:
        super().prepare()
        try:
            if isinstance(self, (web_handlers.EnvHandler, web_handlers.CompareHandler)):
                self.path_args = ["+".join(map(environment_name, names.split("+"))) for names in self.path_args]
            if self.request.method == "POST":
                body = checked(self.request.body, isinstance(self, web_handlers.SaveHandler))
                self.request.body = body if isinstance(body, bytes) else body.encode()
        except BadMessageError as error:
            _log.warning("refused: %s", error)
            _answer(self, 400, str(error))

    def log_exception(self, kind: Any, error: Any, traceback: Any) -> None:
        _log_failure(self, error)

    def write_error(self, status_code: int, **arguments: Any) -> None:
        _answer(self, status_code, "the request could not be handled")


class _GuardedSocket(WebSocketHandler):
    """A handler of visdom's WebSockets that outlives any message, and a page that does not read."""

    _unsent = 0
    _progress = 0.0

    def on_message(self, message: str | bytes) -> None:
        try:
            super().on_message(checked(message))
        except BadMessageError as error:
            _log.warning("refused: %s", error)
        except Exception as error:  # visdom's, of a message that it does not expect
            _log_failure(self, error)

    def write_message(self, message: Any, binary: bool = False) -> Any:
        if isinstance(message, dict):
            message = json_encode(message)
        if self._unsent == 0:
            self._progress = time.monotonic()
        if self._unsent > MAX_UNSENT and time.monotonic() - self._progress > STALLED:
            _log.warning("a page that takes nothing is disconnected")
            self.close()
            return None
        try:
            sent = super().write_message(message, binary)
        except WebSocketClosedError:
            return None  # visdom's loop over all pages goes on
        size = len(message)
        self._unsent += size
        sent.add_done_callback(lambda future: self._was_sent(size, future))
        return sent

    def log_exception(self, kind: Any, error: Any, traceback: Any) -> None:
        _log_failure(self, error)

    def _was_sent(self, size: int, future: Any) -> None:
        self._unsent -= size
        self._progress = time.monotonic()
        if not future.cancelled():
            future.exception()  # taken, so that nothing reports it


@cache
def _guarded(handler: Any) -> type[RequestHandler]:
    """The class of a handler, mixed with one of this file."""
    mixed = _GuardedSocket if issubclass(handler, WebSocketHandler) else _Guarded
    return type(handler.__name__, (mixed, handler), {})


def _set_headers(handler: RequestHandler) -> None:
    for name, value in _HEADERS.items():
        handler.set_header(name, value)


def _answer(handler: RequestHandler, status: int, sentence: str) -> None:
    handler.set_status(status)
    handler.set_header("Content-Type", "text/plain; charset=utf-8")
    handler.finish(sentence + "\n")


def _log_failure(handler: RequestHandler, error: BaseException) -> None:
    if getattr(error, "status_code", 500) >= 500:  # not for a page that is not there
        kind = type(handler).__name__.removesuffix("Handler")
        _log.warning("visdom could not handle a message to %s (%s: %s)", kind, type(error).__name__, error)
