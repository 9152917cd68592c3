"""Addresses and command lines without the passwords in them, for messages, records and names."""

from __future__ import annotations

import re

_MASK = "***"

# scheme://user:password@. A password may hold / and @ themselves; scheme://host:80/a@b has none.
_PASSWORD = re.compile(r"(\b[a-zA-Z][\w+.-]*://[^/?#\s:@]*):(?!\d+(?:[/?#]|$))\S*@")
_USER = re.compile(r"(\b[a-zA-Z][\w+.-]*://)[^/?#\s:@]+@")  # alone, it is often a token
_VALUE = re.compile(
    r"([?&;](?:[\w-]*(?:password|passwd|pwd|token|secret|signature)|(?:[\w-]*[_-])?(?:pass|key|auth|sig)|apikey)=)"
    r"[^&;#\s]*",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """The text with *** in place of the passwords in its addresses: rtsp://user:***@host, http://host/?token=***."""
    text = _PASSWORD.sub(rf"\1:{_MASK}@", text)
    return _VALUE.sub(rf"\1{_MASK}", _USER.sub(rf"\1{_MASK}@", text))
