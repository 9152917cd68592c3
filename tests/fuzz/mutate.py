"""Damage to files: to their bytes, and to their structure so that what surrounds the damage stays valid."""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Callable
from typing import Any

import torch

Mutation = Callable[[bytes, random.Random], bytes]

ODD_WORDS = ("", "nan", "-inf", "1e308", "1e-300", "-1", "0", "9" * 400, "1,5", "\ufeff", "\0", "é", "0x10", "[")
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 2**31, 2**63, 10**400, 1e308, -1e-300, float("nan"), "", "\0", "../../x", [], {},
    [[]], [None], {"": None}, "a" * 10_000,
)  # fmt: skip


def damage_bytes(content: bytes, rng: random.Random) -> bytes:
    """Flips bits, and overwrites, drops, repeats, inserts or moves pieces; one to four times."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randrange(len(data) + 1), rng.choice((1, 2, 4, 8, 64, 1000))
        match rng.randrange(7):
            case 0 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 1:
                data[at : at + length] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * length
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length]
            case 4:
                data[at:at] = rng.randbytes(length)
            case 5:
                del data[at:]
            case _:
                other = rng.randrange(len(data) + 1)
                data[at : at + length] = data[other : other + length]
    return bytes(data)


def damage_words(content: bytes, rng: random.Random) -> bytes:
    """Replaces numbers and words of a text, and drops, repeats or empties lines."""
    text = content.decode("utf-8", "replace")
    for _ in range(rng.randint(1, 3)):
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        words = list(re.finditer(r"[\w.+-]+", lines[at]))
        match rng.randrange(4):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, rng.choice(lines))
            case 2:
                lines[at] = rng.choice(ODD_WORDS)
            case _ if words:
                word = rng.choice(words)
                lines[at] = lines[at][: word.start()] + rng.choice(ODD_WORDS) + lines[at][word.end() :]
        text = "\n".join(lines) or " "
    return text.encode("utf-8", "replace")


def damage_json(content: bytes, rng: random.Random) -> bytes:
    """Replaces, drops or nests values of a JSON text."""
    return json.dumps(damage_value(json.loads(content), rng)).encode()


def damage_json_lines(content: bytes, rng: random.Random) -> bytes:
    """Does the same to one line of several."""
    lines = content.splitlines()
    at = rng.randrange(len(lines))
    lines[at] = damage_json(lines[at], rng)
    return b"\n".join(lines) + b"\n"


def damage_safetensors(content: bytes, rng: random.Random) -> bytes:
    """Damages the header: shapes, offsets, types, and the settings that it has as JSON in its metadata."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    about = header.get("__metadata__", {})
    name = rng.choice(list(about) or [""])
    if about and rng.random() < 0.7:
        try:
            about[name] = json.dumps(damage_value(json.loads(about[name]), rng))
        except ValueError:
            about[name] = rng.choice(ODD_WORDS)
    else:
        header = damage_value(header, rng)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def damage_pickle(content: bytes, rng: random.Random) -> bytes:
    """Damages the values of a file of `torch.save`; tensors too."""
    value = damage_value(torch.load(io.BytesIO(content), weights_only=True), rng)
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def damage_value(value: Any, rng: random.Random, changes: int | None = None) -> Any:
    """A value with one to three odd values in random places of its lists and mappings."""
    for _ in range(changes or rng.randint(1, 3)):
        value = _damaged(value, rng)
    return value


def _damaged(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        rest = {k: v for k, v in value.items() if k != key}
        if rng.random() < 0.15:
            return rest
        return {**rest, key: _damaged(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        if rng.random() < 0.15:
            return value[:at] + value[at + 1 :]
        return [*value[:at], _damaged(value[at], rng), *value[at + 1 :]]
    if isinstance(value, torch.Tensor) and rng.random() < 0.8:
        forms = (
            lambda: torch.full_like(value, float("nan")) if value.is_floating_point() else value + 1,
            lambda: value.flatten()[:-1],
            lambda: value.double(),
            lambda: value.new_zeros(1).expand(100_000, 100_000),
            lambda: value.to_sparse() if value.ndim else value[None],
            lambda: value.to(torch.complex64),
        )
        return rng.choice(forms)()
    return _deep(rng.choice((50, 5000))) if rng.random() < 0.05 else rng.choice(ODD_VALUES)


def _deep(depth: int) -> list:
    value: list = []
    for _ in range(min(depth, 400)):  # what json and pickle themselves can write
        value = [value]
    return value
