"""A server for the live view: visdom's, started with nothing fetched from any network.

    python -m pytracking.view.server
    python -m pytracking.view.server --port 8098 --env_path ~/views

Then open the address it prints, and run a tracker. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import errno
import logging
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from ltr.common.errors import UserError, cli_main
from pytracking.view.page_scripts import VisdomPackage

DEFAULT_PORT = 8097

# Read by visdom beside its own: its text is thin and grey, and its plots carry a link to a web site.
_STYLE = """
.content-text, .content-properties, .bar { font-family: "DejaVu Sans", Verdana, sans-serif; font-weight: normal; }
.content-text, .content-properties td { color: #16181c; font-weight: normal; }
.js-plot-link-container { display: none; }
"""


def serve(port: int, host: str, env_path: Path) -> None:
    """Serve until Ctrl-C.

    Args:
        port: on which.
        host: address to listen at; '' for all of this machine's.
        env_path: an existing folder for the views that a user saves in the page.

    Raises:
        UserError: visdom or its page's scripts are missing, or the address cannot be listened at.
    """
    visdom = VisdomPackage.find()
    if visdom.missing():
        raise UserError(
            "the scripts of visdom's page are missing: bash install.sh --visdom, or with a network "
            "'python -m visdom.server', which fetches them"
        )
    # Imported here: it takes seconds.
    from tornado.ioloop import IOLoop
    from visdom.server import app

    app.tornado_settings["autoreload"] = False  # visdom's server starts itself anew whenever a module's file changes
    for name in ("tornado.access", "tornado.general"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # an error at each opening of the page, which is none
    application = app.Application(port=port, base_url="", env_path=str(env_path))
    try:
        application.listen(port, address=host, max_buffer_size=1024**3)
    except OSError as error:
        raise UserError(_refusal(error, port, host)) from None
    shown = "localhost" if host in ("", "127.0.0.1", "0.0.0.0") else host
    loop = IOLoop.current()
    for number in (signal.SIGINT, signal.SIGTERM):  # an exception might be raised where somebody else takes it
        signal.signal(number, lambda *_: loop.asyncio_loop.call_soon_threadsafe(loop.stop))
    print(f"The live view is at http://{shown}:{port} (Ctrl-C ends the server)", flush=True)
    loop.start()
    print("\nThe server has ended")


def _refusal(error: OSError, port: int, host: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken, perhaps by a server that runs already; choose another by --port"
    return f"{host}:{port} cannot be listened at: {error.strerror}; choose another by --host or --port"


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, a whole number from 1 to 65535")
    return int(text)


@cli_main
def main(arguments: Sequence[str] | None = None) -> int:
    """Serves as the command line asks and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pytracking.view.server", description="Serve the live view.")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help=f"({DEFAULT_PORT})")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (127.0.0.1: this machine only)")
    parser.add_argument("--env_path", type=Path, help="keep views saved in the page here (otherwise: until the end)")
    options = parser.parse_args(arguments)
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
        serve(options.port, options.host, env_path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
