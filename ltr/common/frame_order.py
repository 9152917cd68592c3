"""The images of a folder in the order in which they follow each other.

File names say the order by their numbers, compared by value: 2 before 10, whatever their leading zeros. A name may hold
more than the number of its frame: the hash that an annotation tool adds, the size, a time, the number of the camera. If
two of these could be the order, :func:`order_frames` refuses to choose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ltr.common.errors import UserError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}

_REMEDY = "rename them so that one number counts the frames, and keep one recording in a folder"
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_EXPORT = re.compile(r"\.rf\.\w+$")  # Roboflow: name_jpg.rf.<hash>.jpg
_SIZE = re.compile(r"(?<![0-9])[0-9]{2,5}x[0-9]{2,5}(?![0-9])", re.IGNORECASE)
# Numbers that make up one time: seconds since 1970 with a fraction; a date with a clock; a date; a clock.
_DATE, _CLOCK = r"(?:19|20)\d\d[-_.]?\d\d[-_.]?\d\d", r"\d\d[-_.:h]?\d\d[-_.:m]?\d\d"
_STAMP = r"1\d{9}(?:[-_]\d{3,9}|\.\d{1,9})"
_TIME = rf"{_STAMP}|{_DATE}[-_. tT]{{1,3}}{_CLOCK}(?:[-_.,]\d+)?|{_DATE}|\d\d[-_.:h]\d\d[-_.:m]\d\d"
_HALF_DAY = re.compile(r"(?<!\d)(\d{1,2})([-_.:]\d\d[-_.:]\d\d)\s*([ap])\.?m\b", re.IGNORECASE)  # 1.05.30 PM
_NUMBER = re.compile(rf"(?<!\d)(?P<time>{_TIME})(?!\d)|\d+", re.ASCII)
_DECIMAL = re.compile(r"\d+\.\d+|\d+", re.ASCII)


class FrameOrderError(UserError):
    """File names do not say in which order the images follow each other."""


def find_images(folder: Path) -> list[Path]:
    """The image files of a folder, without hidden ones.

    Raises:
        OSError: if the folder cannot be read.
    """
    return [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.name[0] != "."]


def order_frames(files: Sequence[Path]) -> dict[int, Path]:
    """Images by frame number, in order.

    The keys are the numbers in the names if one number of each name counts the frames. Otherwise (a time, names without
    numbers, which follow the alphabet), the keys count from 1.

    Raises:
        FrameOrderError: if two orders are possible, or two files have the same number; names files of both.
    """
    if len(files) < 2:
        return {_only_number(file): file for file in files}
    files = sorted(files, key=natural_order)
    names, hashed = _without_hashes([file.stem for file in files])
    if hashed and not any(re.search(r"\d", name) for name in names):
        raise FrameOrderError(f"{_some(files)} have no number that says their order; {_REMEDY}")
    names = [_HALF_DAY.sub(_of_24_hours, name) for name in names]
    parsed = [_parse(name) for name in names]
    if len({name.texts for name in parsed}) == 1:
        return _order_by_columns(files, names, parsed)
    return _order_by_texts(files, names, parsed)


def natural_order(file: Path) -> list[Any]:
    """Sort key: the name's letters without case, its numbers by their value; then the name itself."""
    parts = re.split(r"(\d+)", file.stem.casefold())
    return [[int(part) if i % 2 else part for i, part in enumerate(parts)], file.name]


class _Name(NamedTuple):
    """A file name: the texts around its numbers, the numbers, and which of them are times."""

    texts: tuple[str, ...]
    numbers: tuple[tuple[int, ...], ...]
    times: tuple[bool, ...]


def _parse(name: str) -> _Name:
    texts, numbers, times, end = [], [], [], 0
    for found in _NUMBER.finditer(name):
        texts.append(name[end : found.start()].casefold())
        numbers.append(tuple(map(int, re.findall(r"[0-9]+", found[0]))))
        times.append(found["time"] is not None)
        end = found.end()
    return _Name((*texts, name[end:].casefold()), tuple(numbers), tuple(times))


def _of_24_hours(clock: re.Match[str]) -> str:
    return f"{int(clock[1]) % 12 + (12 if clock[3] in 'pP' else 0):02d}{clock[2]}"


def _only_number(file: Path) -> int:
    numbers = re.findall(r"\d+", file.stem)
    return int(numbers[0]) if len(numbers) == 1 else 1


def _without_hashes(stems: list[str]) -> tuple[list[str], bool]:
    """The names without hashes and image sizes; and whether any had a hash.

    A hash stands at the same place in each name, is always of one length, and mixes letters with digits, each time
    in another way.
    """
    names = [_SIZE.sub("x", _EXPORT.sub("", _UUID.sub("", stem))) for stem in stems]
    hashed = any(_EXPORT.search(stem) or _UUID.search(stem) for stem in stems)
    parts = [re.split(r"([^0-9A-Za-z]+)", name) for name in names]
    if len({len(part) for part in parts}) > 1:
        return names, hashed
    for i in range(0, len(parts[0]), 2):
        words = [part[i] for part in parts]
        mixtures = {re.sub(r"[A-Za-z]+", "a", re.sub(r"[0-9]+", "0", word)) for word in words}
        if len({len(word) for word in words}) == 1 and len(words[0]) >= 8 and len(mixtures) > 1:
            if max(map(len, mixtures)) >= 3:
                hashed = True
                for part in parts:
                    part[i] = ""
    return ["".join(part) for part in parts], hashed


def _order_by_columns(files: list[Path], names: list[str], parsed: list[_Name]) -> dict[int, Path]:
    """The order of names that differ in their numbers only."""
    columns = [column for column in range(len(parsed[0].numbers)) if len({name.numbers[column] for name in parsed}) > 1]
    values = [tuple(name.numbers[column] for column in columns) for name in parsed]
    order = sorted(range(len(files)), key=values.__getitem__)
    for before, after in pairwise(order):
        if values[before] == values[after]:
            raise _same_number(files[before], files[after])
    unique = [i for i in range(len(columns)) if len({value[i] for value in values}) == len(files)]
    counters = [i for i in unique if _counts([value[i] for value in values])]
    keys: list[Callable[[int], Any]] = [lambda k, i=i: values[k][i] for i in counters]  # type: ignore[misc]
    keys.append(lambda k: _decimals(names[k]))
    led_by_time = parsed[0].times[columns[0]]
    if 0 not in unique and not led_by_time and not _is_decimal_clock([names[k] for k in order]):
        keys.append(lambda k: values[k][::-1])
    for key in keys:
        other = sorted(order, key=key)
        if other != order:
            raise _two_orders([files[k] for k in order], [files[k] for k in other])
    single = [i for i in [*counters, *unique] if len(values[0][i]) == 1]
    if not single:
        return dict(enumerate((files[k] for k in order), start=1))
    return {values[k][single[0]][0]: files[k] for k in order}


def _order_by_texts(files: list[Path], names: list[str], parsed: list[_Name]) -> dict[int, Path]:
    """The order of names that differ in their words too; `files` are in natural order."""
    bare = [k for k, name in enumerate(parsed) if not name.numbers]
    if len(bare) == len(files):
        return dict(enumerate(files, start=1))
    others = [k for k in range(len(files)) if k not in bare]
    if len(bare) == 1:  # a copy: img.png, img (1).png, img (2).png
        text = parsed[bare[0]].texts[0]
        if len({parsed[k].texts for k in others}) == 1 and parsed[others[0]].texts[0].rstrip(" (_-.") == text:
            return dict(enumerate([files[bare[0]], *order_frames([files[k] for k in others]).values()], start=1))
    if bare:
        raise FrameOrderError(
            f"{_some([files[k] for k in bare])} {'has' if len(bare) == 1 else 'have'} no number, but "
            f"{_some([files[k] for k in others])} have; {_REMEDY}"
        )
    numbers = [name.numbers for name in parsed]
    for other in (sorted(others, key=lambda k: _decimals(names[k])), sorted(others, key=numbers.__getitem__)):
        if other != others:
            raise _two_orders(files, [files[k] for k in other])
    for before, after in pairwise(other):
        if numbers[before] == numbers[after]:
            raise _same_number(files[before], files[after])
    if all(len(number) == len(number[0]) == 1 for number in numbers):
        return {number[0][0]: file for number, file in zip(numbers, files, strict=True)}
    return dict(enumerate(files, start=1))


def _counts(values: list[tuple[int, ...]]) -> bool:
    """Whether numbers, all different, count something in equal steps, with few gaps."""
    if len(values[0]) > 1:
        return False
    numbers = np.sort(np.array([value[0] for value in values], dtype=object))
    steps = np.diff(numbers)
    step = int(np.gcd.reduce(steps))
    return (numbers[-1] - numbers[0]) // step + 1 <= 2 * len(values)


def _decimals(name: str) -> list[float]:
    return [float(number) for number in _DECIMAL.findall(name)]


def _is_decimal_clock(names: list[str]) -> bool:
    """Whether the first number that differs is a decimal one that rises in steps of one size, as a time does."""
    if not all(re.search(r"\d\.\d", name) for name in names):
        return False
    rows = np.array([_decimals(name) for name in names])
    varying = rows[:, (rows != rows[0]).any(axis=0)]
    steps = np.diff(varying[:, 0]) if varying.size else np.zeros(1)
    return bool((steps > 0).all() and steps.max() <= 10 * np.sort(steps)[(len(steps) - 1) // 2])


def _same_number(before: Path, after: Path) -> FrameOrderError:
    return FrameOrderError(f"{before.name} and {after.name} have the same number; remove one of them, or rename it")


def _two_orders(files: Sequence[Path], others: Sequence[Path]) -> FrameOrderError:
    """Says two orders from about where they part."""
    start = next((k for k, pair in enumerate(zip(files, others, strict=True)) if pair[0] != pair[1]), 0)
    start = max(0, min(start - 1, len(files) - 3))
    first, second = (("..., " if start else "") + _some(some[start:]) for some in (files, others))
    return FrameOrderError(f"two orders are possible: {first}, or {second}; {_REMEDY}")


def _some(files: Sequence[Path], limit: int = 3) -> str:
    return ", ".join(file.name for file in files[:limit]) + (", ..." if len(files) > limit else "")
