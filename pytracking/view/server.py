"""The live view's server, `ebm-view`: visdom's own server, behind a gate, and fetching nothing from any network.

    ebm-view
    ebm-view --port 8098 --env_path ~/views

Then open the address it prints, and run a tracker. Ctrl-C ends the server.
"""

from __future__ import annotations

import argparse
import errno
import ipaddress
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from ltr.common.command_line import CommandParser
from ltr.common.errors import UserError, cli_main
from pytracking.view.bounded_log import bounded_log
from pytracking.view.gate import Gate
from pytracking.view.live.client import DEFAULT_PORT
from pytracking.view.page_scripts import VisdomPackage

# visdom reads it beside its own style, which makes every element's text thin and grey, and plots link to a web site.
_STYLE = """
.content-text, .content-text :not(b), .content-properties td, .bar div {
  font-family: "DejaVu Sans", Verdana, sans-serif; font-weight: normal;
}
.content-text, .content-properties td { color: #16181c; }
.js-plot-link-container { display: none; }
"""


@cli_main
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = CommandParser(
        prog="ebm-view",
        description="Serve the live view, a page in the browser that shows what a tracker does.",
        examples=f"""\
examples:
  ebm-view                                                                  (in one terminal)
  ebm-track atom ebm --dataset_name generated --sequence rotation --visdom  (in another)

Then open http://localhost:{DEFAULT_PORT}. `bash install.sh --visdom` installs what the server needs.""",
    )
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help=f"port to listen on ({DEFAULT_PORT})")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (127.0.0.1: reachable from this machine only)"
    )
    parser.add_argument(
        "--allow_host",
        nargs="+",
        default=[],
        metavar="NAME",
        help="other names under which the page may be opened, such as that of a proxy (localhost, addresses, and with "
        "--host this machine's name always are)",
    )
    parser.add_argument(
        "--env_path", type=Path, metavar="FOLDER", help="keep views here that are saved in the page (default: discard)"
    )
    options = parser.parse_args(argv)
    gate = Gate([*options.allow_host, *_own_names(options.host)])
    kept = options.env_path
    with nullcontext(kept.expanduser()) if kept else tempfile.TemporaryDirectory(prefix="visdom_") as folder:
        env_path = Path(folder)
        try:
            env_path.mkdir(parents=True, exist_ok=True)
            style = env_path / "style.css"
            if not style.exists():
                style.write_text(_STYLE)
        except OSError as error:
            raise UserError(f"the folder --env_path {env_path} cannot be written: {error.strerror}") from error
        serve(options.port, options.host, env_path, gate)
    return 0


def serve(port: int, host: str, env_path: Path, gate: Gate) -> None:
    """Serve until Ctrl-C.

    Args:
        port: to listen on.
        host: address to listen on; '' for all of this machine's.
        env_path: an existing folder for the views that a user saves in the page.
        gate: refuses requests of other sites' pages.

    Raises:
        UserError: if visdom or the scripts of its page are missing, the address cannot be listened on, or the folder
            cannot be read.
    """
    visdom = VisdomPackage.find()
    if visdom.missing():
        raise UserError(
            "the scripts of visdom's page are missing: run bash install.sh --visdom, or with a network "
            "'python -m visdom.server', which fetches them"
        )
    # Imported here: it takes seconds.
    from tornado.ioloop import IOLoop

    from pytracking.view.guarded import GuardedApplication

    for name in ("tornado.access", "tornado.general"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # opening the page logs an error that is none
    with bounded_log():
        try:
            application = GuardedApplication(gate, port=port, env_path=str(env_path))
        except (OSError, ValueError, AssertionError) as error:  # the last is visdom's for a folder it cannot make
            raise UserError(
                f"the views in {env_path} cannot be read or written ({error}): name another --env_path"
            ) from error
        try:
            application.serve_at(port, host)
        except (OSError, UnicodeError) as error:
            raise UserError(_refusal(error, port, host)) from None
        loop: Any = IOLoop.current()  # its `asyncio_loop` is not declared
        for number in (signal.SIGINT, signal.SIGTERM):  # an exception might be raised where other code catches it
            signal.signal(number, lambda *_: loop.asyncio_loop.call_soon_threadsafe(loop.stop))
        print(f"The live view is at http://{_to_open(host)}:{port} (Ctrl-C ends the server)", flush=True)
        if gate.names:
            print(f"It may also be opened as {', '.join(gate.names)}, and by address", flush=True)
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # visdom prints what it is sent
            loop.start()
    print("\nThe server has ended")


def _own_names(host: str) -> list[str]:
    """Names that lead to this server from other machines, if it listens to them."""
    try:
        if ipaddress.ip_address(host or "::").is_loopback:
            return []
    except ValueError:  # a name
        return [] if host == "localhost" else [host]
    return [socket.gethostname()]


def _to_open(host: str) -> str:
    """The host in the address that a user of this machine opens."""
    if host in ("", "127.0.0.1", "0.0.0.0", "::", "::1"):
        return "localhost"
    return f"[{host}]" if ":" in host else host


def _refusal(error: OSError | UnicodeError, port: int, host: str) -> str:
    if isinstance(error, UnicodeError):
        return f"--host {host[:100]!r} is not an address or the name of one"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken, perhaps by another server; choose one with --port"
    return f"{host}:{port} cannot be listened on: {error.strerror}; choose another with --host or --port"


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, a whole number from 1 to 65535")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
