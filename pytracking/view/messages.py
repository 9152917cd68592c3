"""What comes to the live view's server, checked before visdom takes it.

visdom uses an environment's name as that of a file, and takes any JSON as a message. Here a message is an object, and a
name is one of a file in the server's own folder.
"""

from __future__ import annotations

import json
from typing import Any

MAX_NAME = 200
"""Bytes of an environment's name: a file's has 255 at most."""


class BadMessageError(Exception):
    """A message that visdom is not given. The message of the error is the reason, one sentence."""


def environment_name(name: object) -> str:
    """The name of an environment, with '_' for what could lead to another folder, or out of the page's script.

    Those are slashes, a dot at the beginning, and characters that are not printed. visdom itself replaces '/' in most
    places.

    Raises:
        BadMessageError: if it is not text, or too long.
    """
    if not isinstance(name, str):
        raise BadMessageError("an environment's name is text")
    shortened = name[: MAX_NAME + 1]
    written = "".join("_" if c in "/\\" or not c.isprintable() else c for c in shortened).strip()
    if written.startswith("."):
        written = "_" + written[1:]
    if len(name) > MAX_NAME or len(written.encode()) > MAX_NAME:
        raise BadMessageError(f"an environment's name has at most {MAX_NAME} bytes")
    return written or "_"


def parsed(content: str | bytes) -> dict[str, Any]:
    """A message of the page or of a client.

    Raises:
        BadMessageError: if it is not an object of JSON.
    """
    try:
        message = json.loads(content)
    except (ValueError, RecursionError):  # a ValueError too: text that is not UTF-8, a number of 10,000 digits
        raise BadMessageError("a message is an object of JSON") from None
    if not isinstance(message, dict):
        raise BadMessageError("a message is an object of JSON")
    return message


def checked(content: str | bytes, lists_names: bool = False) -> str | bytes:
    """A message for visdom: the same one, or one with other names of environments.

    Args:
        content: JSON.
        lists_names: whether `data` lists names, as when they are saved.

    Raises:
        BadMessageError: if visdom is not given the message.
    """
    message = parsed(content)
    data = message.get("data")
    changed = False
    for part in (message, data if isinstance(data, dict) else {}):
        for key in ("eid", "prev_eid"):
            if (name := part.get(key)) is not None:
                part[key] = environment_name(name)
                changed |= part[key] != name
    if lists_names:
        if not isinstance(data, list):
            raise BadMessageError("the names to save are a list")
        message["data"] = [environment_name(name) for name in data]
        changed |= message["data"] != data
    if message.get("cmd") == "save_layouts" and not isinstance(data, str):
        raise BadMessageError("layouts are text")
    return json.dumps(message).encode() if changed else content
