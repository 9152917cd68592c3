"""Finds the result files of sequences in a folder, however the tool that wrote them lays them out.

::

    {sequence}.txt                        PyTracking, pysot, got10k; times in {sequence}_time.txt or times/
    {sequence}_{tracker}.mat              OTB's toolkit, often of many trackers in one folder; also {sequence}.mat
    {sequence}/{sequence}_001.txt         GOT-10k, a file for each repetition; times in {sequence}_time.txt
    unsupervised/{sequence}/...           VOT, also its binary form, {sequence}_001.bin, with times in
                                          {sequence}_001_time.value; or baseline/, where trackers are started again
    {tracker}/...                         a folder of trackers, one or two levels deep
    results.zip                           any of these in an archive
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltr.common.errors import UserError
from pytracking.analysis.box_files import match_files, sequence_key
from pytracking.analysis.sequence_names import names_elsewhere
from pytracking.evaluation.datasets.files import subfolders

_VOT_EXPERIMENTS = ("unsupervised", "baseline")
_REPETITION = re.compile(r"(?P<name>.+)_(?P<number>\d{3})")
_READ = (".txt", ".mat", ".bin", ".value")  # endings of files
_LARGEST = 4 << 30  # bytes that an archive may hold
_extracted: list[tempfile.TemporaryDirectory] = []  # removed when the program ends


@dataclass(frozen=True)
class FoundRun:
    """One run of one tracker.

    Attributes:
        tracker: its name, from the files or from folders; empty for the folder's own.
        number: of the repetition, from 1; None if there is only one.
        folder: where the files are.
        files: by sequence name.
        problem: why they cannot be told apart; None if they can.
    """

    tracker: str
    number: int | None
    folder: Path
    files: dict[str, Path]
    problem: UserError | None = None


def find_runs(path: Path, sequences: Sequence[str]) -> list[FoundRun]:
    """The runs in a folder or .zip file that have any of the sequences; maybe none.

    Raises:
        UserError: if it is neither, or the archive cannot be opened.
    """
    return list(_runs(_opened(path), sequences, depth=2))


def _runs(folder: Path, sequences: Sequence[str], depth: int) -> Iterator[FoundRun]:
    here = _text_files(folder, sequences) or _mat_files(folder, sequences) or _repetitions(folder, sequences)
    yield from here
    if not here and depth:
        for inner in subfolders(folder):
            for run in _runs(inner, sequences, depth - 1):
                name = f"{inner.name}/{run.tracker}".rstrip("/")
                yield FoundRun(name, run.number, run.folder, run.files, run.problem)


def _text_files(folder: Path, sequences: Sequence[str]) -> list[FoundRun]:
    try:
        files = match_files(folder, sequences)
    except UserError as problem:
        return [FoundRun("", None, folder, {}, problem)]
    return [FoundRun("", None, folder, files)] if files else []


def _mat_files(folder: Path, sequences: Sequence[str]) -> list[FoundRun]:
    """OTB's files, those of each tracker as one run."""
    names = {sequence_key(name): name for name in sequences}
    names = {sequence_key(other): name for name in sequences for other in names_elsewhere(name)} | names
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() != ".mat" or path.name[0] == ".":
            continue
        # The longest name that the file's begins with: Jogging-1_ECO is not ECO's result of a sequence Jogging.
        splits = [(path.stem, ""), *((path.stem[: m.start()], path.stem[m.end() :]) for m in _separators(path.stem))]
        known = next(((name, tracker) for name, tracker in splits if sequence_key(name) in names), None)
        if known is not None:
            found.setdefault(known[1], {}).setdefault(names[sequence_key(known[0])], path)
    one = len(found) == 1
    return [FoundRun("" if one else tracker, None, folder, files) for tracker, files in sorted(found.items())]


def _separators(stem: str) -> list[re.Match]:
    return list(re.finditer(r"[_ ]+", stem))[::-1]


def _repetitions(folder: Path, sequences: Sequence[str]) -> list[FoundRun]:
    """GOT-10k's and VOT's files, each repetition as one run.

    A sequence with fewer repetitions than others, as a tracker without chance has, takes part in the further runs with
    those that it has, in turn.
    """
    where = next((folder / name for name in _VOT_EXPERIMENTS if (folder / name).is_dir()), folder)
    folders = {sequence_key(each.name): each for each in subfolders(where)}
    found: dict[str, list[Path]] = {}
    for name in sequences:
        spellings = (sequence_key(each) for each in (name, *names_elsewhere(name)))
        inner = next((folders[key] for key in spellings if key in folders), None)
        files = sorted(path for path in inner.iterdir() if path.suffix in (".bin", ".txt")) if inner else []
        by_number = {path.stem: path for path in files if _is_repetition(path)}  # text rather than its binary form
        if by_number:
            found[name] = list(by_number.values())
    count = max(map(len, found.values()), default=0)
    return [
        FoundRun("", i + 1 if count > 1 else None, where, {name: each[i % len(each)] for name, each in found.items()})
        for i in range(count)
    ]


def _is_repetition(path: Path) -> bool:
    """Whether a file is {sequence}/{sequence}_001.txt."""
    match = _REPETITION.fullmatch(path.stem)
    return match is not None and match["name"] == path.parent.name


def times_file(boxes: Path) -> tuple[Path, int] | None:
    """The file with the seconds of the frames of these boxes, and the column that they are in; None if there is none.

    The files of a number of repetitions share one file of times, with a column for each.
    """
    match = _REPETITION.fullmatch(boxes.stem) if _is_repetition(boxes) else None
    name, column = (match["name"], int(match["number"]) - 1) if match else (boxes.stem, 0)
    places = (boxes.with_name(f"{name}_time.txt"), boxes.parent / "times" / f"{name}_time.txt")
    shared = next(((path, column) for path in places if path.is_file()), None)
    own = boxes.with_name(f"{boxes.stem}_time.value")
    return (own, 0) if shared is None and own.is_file() else shared


def _opened(path: Path) -> Path:
    """The folder, or the one that an archive was unpacked to."""
    if path.is_dir():
        return path
    if not path.is_file() or path.suffix.lower() != ".zip":
        raise UserError(f"{path} is not a folder")
    room = tempfile.TemporaryDirectory(prefix="results_")
    _extracted.append(room)
    folder = Path(room.name) / path.stem
    folder.mkdir()
    try:
        with zipfile.ZipFile(path) as archive:
            wanted = [each for each in archive.infolist() if Path(each.filename).suffix.lower() in _READ]
            if sum(each.file_size for each in wanted) > _LARGEST:
                raise UserError(f"{path} holds more than {_LARGEST >> 30} GiB; unpack it, and name the folder")
            for each in wanted:
                archive.extract(each, folder)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError) as error:
        raise UserError(f"{path} cannot be unpacked: {error}") from error
    return folder
