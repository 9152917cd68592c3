"""Whom the live view's server answers: its own page and programs, and no page of another site.

A browser lets every page that it shows send requests to this machine, so listening on this machine alone keeps nobody
out. It names the page in `Origin`, and the name under which the page was reached in `Host`. The gate compares both.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

from ltr.common.errors import UserError

MARK = "X-Ebm-View"
"""A header of every answer of this server, by which a client knows it from visdom's own."""

_SHOWN = 100  # characters of a foreign name that are repeated
_NETLOC = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\s:/@\[\]\\,]+?)\.?(?P<port>:[0-9]{1,5})?", re.ASCII)


class Gate:
    """Which requests are answered.

    `Host` has to be a name of this server: an address of the Internet Protocol, localhost, or one of `names`. A page
    whose site made its own name lead to this machine (DNS rebinding) is refused by it. `Origin` has to be the same as
    `Host`, or one of `names`, as behind a proxy that changes `Host`. Programs send no `Origin`.

    Args:
        names: other names of this server, as NAME or NAME:PORT; the port counts for `Origin` only, where it is absent
            if it is the scheme's.

    Raises:
        UserError: if there can be no such name.
    """

    def __init__(self, names: Iterable[str] = ()):
        self._origins = {_host_name(name) for name in names}
        self._names = {_split(name) for name in self._origins}

    @property
    def names(self) -> list[str]:
        """The other names of the server, as browsers write them."""
        return sorted(self._origins)

    def refusal(self, method: str, headers: Mapping[str, str]) -> str | None:
        """Why a request is refused, in one sentence; None if it is answered.

        Args:
            method: of HTTP.
            headers: the request's; the names' case is as in HTTP's standard, or does not matter.
        """
        host = headers.get("Host", "").lower()
        name = _split(host)
        if name is None or not (_is_of_every_machine(name) or name in self._names):
            shown = _shown(host)
            return (
                f"this server is not known as '{shown}': open it as localhost, or, if that name is yours, start "
                f"ebm-view with --allow_host {shown or 'NAME'}"
            )
        origin = headers.get("Origin")
        if origin is not None:
            scheme, _, where = origin.lower().partition("://")
            if scheme not in ("http", "https") or (where != host and where not in self._origins):
                return (
                    f"pages of '{_shown(origin)}' may not use the live view; if it is the view's own address, through "
                    f"a proxy, start ebm-view with --allow_host {_shown(where) or 'NAME'}"
                )
        elif headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):  # no Origin: a picture, a script, a frame
            opened = (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")) == ("navigate", "document")
            if method != "GET" or not opened:
                return "pages of other sites may not use the live view, only link to it"
        return None


def _host_name(text: str) -> str:
    """An option's name as browsers write it."""
    try:
        written = text.strip().lower().encode("idna").decode()
    except UnicodeError:
        written = ""
    if _split(written) is None:
        raise UserError(f"--allow_host or --host {text[:_SHOWN]!r} is no host: give NAME or NAME:PORT, without http://")
    return written


def _split(netloc: str) -> str | None:
    """The name in NAME or NAME:PORT; None if it is neither."""
    match = _NETLOC.fullmatch(netloc)
    return match["name"] if match else None


def _is_of_every_machine(name: str) -> bool:
    """Whether no site can make this name its own."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") else name)
    except ValueError:
        return False
    return True


def _shown(text: str) -> str:
    """What is repeated of a foreign name: a prefix, without what a terminal would interpret."""
    short = text[:_SHOWN] + ("…" if len(text) > _SHOWN else "")
    return "".join(character if character.isprintable() else "?" for character in short)
