"""Results of one run of one tracker, on disk.

The folder ``{results}/{tracker}/{param or save_as}[_{run:03d}]/`` holds for each finished sequence

- ``{sequence}.txt``: x, y, w, h on a line for each frame, tab-separated with four decimals, in the coordinates of the
  annotation; the first line is the annotated first box. (With ``integer``, truncated as PyTracking writes them.)
- ``{sequence}_time.txt``: the tracker's seconds for each frame, initialisation first; reading images is not counted;

and, if densities were asked for, ``{sequence}_density.jsonl`` (:mod:`pytracking.evaluation.density_log`). ``run.json``
says what the results were made with, and records each call that added to them. The files of a sequence appear when it
is complete. Until then, and after a failure, its boxes are in ``{sequence}.partial.txt``.

Several processes, also on several machines, may fill one folder: each sequence is run by one of them at a time, and
none adds to results that were made with something else.
"""

import contextlib
import dataclasses
import datetime
import math
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ltr.common.errors import UserError
from ltr.common.files import make_writable, read_text, remove_abandoned, write_json, write_text, writing
from ltr.common.locks import locked
from ltr.common.plain import from_json, to_plain
from ltr.common.settings import with_current_names
from pytracking.evaluation.datasets import DatasetError, TrackingSequence, read_boxes
from pytracking.evaluation.density_log import density_file

RECORD = "run.json"
_LOCK = ".lock"
_ABANDONED = 3600.0  # seconds after which a file that is being written belongs to no process
RUN_FOLDER = re.compile(r"(?P<param>.+)_(?P<run>\d{3})")
"""Name of a numbered run's folder."""


class ResultsError(UserError):
    """A results folder cannot be written, or its results were made with other settings."""


def format_box(box: np.ndarray, integer: bool) -> str:
    """One line of a result file. ``integer`` truncates towards zero, as PyTracking does. Use it only to compare with
    published numbers: it costs a perfect tracker overlap, most on small targets."""
    return "\t".join(f"{int(value)}" if integer else f"{value:.4f}" for value in box) + "\n"


class ResultFolder:
    """The folder of one run of one tracker, for writing.

    It refuses to add to results that were made with something else, so that one folder never mixes two trackers.

    Args:
        path: the folder.
        made_with: all that decides the boxes: settings, seed, weights.
        integer: write truncated integers.
    """

    def __init__(self, path: Path, made_with: dict[str, Any], integer: bool = False):
        self.path = Path(path)
        self.integer = integer
        self._settings = made_with.get("settings")
        self.made_with = to_plain({**made_with, "integer_boxes": integer})

    def prepare(self, overwrite: bool = False) -> None:
        """Create the folder, or check that results may be added to it.

        Args:
            overwrite: move results that were made with other settings to a sub-folder ``replaced_{time}``.

        Raises:
            ResultsError: if the folder cannot be written, or holds results made with other settings.
        """
        try:
            make_writable(self.path)
        except OSError as error:
            raise ResultsError(
                f"the results folder {self.path} cannot be written ({error.strerror}); choose another by --results"
            ) from error
        remove_abandoned(self.path, _ABANDONED)
        with self._alone():
            remove_abandoned(self.path, of=RECORD)
            if not overwrite:
                self._check_same("choose another folder by --runid or --save_as, or replace them by --overwrite")
            elif self.difference() is not None:
                self._move_aside()

    def _move_aside(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        replaced = self.path / f"replaced_{now:%Y%m%d_%H%M%S_%f}"
        with writing(replaced, "choose another folder by --results"):
            for lock in [path for path in self.path.glob(".*.lock") if path.name != _LOCK]:
                with locked(lock, self._refuse_to_replace, remove=True):
                    pass
            replaced.mkdir()
            for file in [path for path in self.path.iterdir() if path.is_file() and path.name[0] != "."]:
                shutil.move(file, replaced / file.name)

    def _refuse_to_replace(self) -> None:
        raise ResultsError(
            f"another process is writing results into {self.path}, so they cannot be replaced; wait for it, or choose "
            "another folder by --runid or --save_as"
        )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """A short block in which no other process checks or changes what the folder's results were made with."""
        with contextlib.ExitStack() as stack:
            with writing(self.path / _LOCK, "choose another folder by --results"):
                stack.enter_context(locked(self.path / _LOCK, lambda: None))
            yield

    def _check_same(self, remedy: str) -> None:
        """Check that results may be added.

        Raises:
            ResultsError: if there are results made with other settings; its message ends with the remedy.
        """
        difference = self.difference()
        if difference is not None:
            raise ResultsError(f"{self.path} holds results that this run cannot add to ({difference}); {remedy}")

    @contextlib.contextmanager
    def claimed(self, sequence: str) -> Iterator[None]:
        """A block in which no other process runs this sequence into the folder, or replaces the folder's results.

        Raises:
            ResultsError: if another process is running it, or has replaced the folder's results since `prepare`.
        """

        def refuse() -> None:
            raise ResultsError(
                f"another process is running it, with results in {self.path}; the same command, given later, goes on"
            )

        lock = self.path / f".{sequence}.lock"
        with contextlib.ExitStack() as stack:
            with self._alone():
                self._check_same("another command has begun to fill this folder meanwhile")
                with writing(lock, "choose another folder by --results"):
                    stack.enter_context(locked(lock, refuse, remove=True))
            for file in (self.partial_file(sequence), self.times_file(sequence)):
                remove_abandoned(self.path, of=file.name)
            yield

    def difference(self) -> str | None:
        """In which settings the results in the folder differ from ``made_with``, in words; None if in none.

        Raises:
            ResultsError: if the record cannot be read.
        """
        record = self._read_record()
        if record is None:
            has_results = any(file.name[0] != "." for file in self.path.glob("*.txt"))
            return f"no {RECORD} says how they were made" if has_results else None
        changes = differences(as_recorded_today(record.get("made_with", {}), self._settings), self.made_with)
        return "; ".join(changes[:3]) + (f"; and {len(changes) - 3} more" if len(changes) > 3 else "") or None

    def _read_record(self) -> dict[str, Any] | None:
        try:
            record = from_json(read_text(self.path / RECORD))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ResultsError(f"{self.path / RECORD} cannot be read ({error}); delete it, or use --runid") from error
        if not isinstance(record, dict) or not isinstance(record.get("made_with", {}), dict):
            raise ResultsError(f"{self.path / RECORD} is not the record of a run; delete it, or use --runid")
        return record

    def add_record(self, provenance: dict[str, Any]) -> None:
        """Record in run.json that a run with this provenance adds to the folder.

        Raises:
            ResultsError: if it cannot be written, or another process has replaced the folder's results since `prepare`.
        """
        # The settings stand once, under made_with.
        run = {key: value for key, value in provenance.items() if key not in ("settings", "seed")}
        with self._alone():
            self._check_same("another command has begun to fill this folder meanwhile")
            runs = (self._read_record() or {}).get("runs", [])
            runs = runs if isinstance(runs, list) else []
            with writing(self.path / RECORD, "make room, or choose another folder by --results"):
                write_json(self.path / RECORD, {"made_with": self.made_with, "runs": [*runs, run]})

    def boxes_file(self, sequence: str) -> Path:
        return self.path / f"{sequence}.txt"

    def times_file(self, sequence: str) -> Path:
        return self.path / f"{sequence}_time.txt"

    def partial_file(self, sequence: str) -> Path:
        return self.path / f"{sequence}.partial.txt"

    def is_finished(self, sequence: TrackingSequence, density: bool = False) -> tuple[bool, str]:
        """Whether the folder has the complete result of this sequence, with densities if ``density``; and if it has a
        result that does not count, the reason."""
        file = self.boxes_file(sequence.name)
        if not file.exists():
            return False, ""
        try:
            boxes = read_boxes(file)
        except DatasetError as error:
            return False, str(error)
        if len(boxes) != len(sequence):
            return False, f"{file} has {len(boxes)} lines for {len(sequence)} frames"
        # A sequence of the same name and length from another data set has another first box.
        first = np.array(format_box(sequence.ground_truth[0], self.integer).split(), np.float64)
        if not np.allclose(boxes[0], first, atol=1e-3):
            return False, f"{file} starts from another box than the sequence does now"
        if density and not density_file(file).exists():
            return False, f"{file} has no densities beside it"
        return True, ""

    def seconds(self, sequence: str) -> float:
        """The tracker's seconds for a finished sequence; not a number if its times cannot be read."""
        try:
            return float(np.loadtxt(self.times_file(sequence)).sum())
        except (OSError, ValueError):
            return math.nan

    def save(self, sequence: str, boxes: np.ndarray, times: np.ndarray, density: bool = False) -> None:
        """Write a finished sequence: ``boxes`` (N, 4) in annotation coordinates, ``times`` (N,) in seconds.

        Densities of an earlier run belong to its boxes: they are removed, unless this run wrote its own (``density``).
        """
        try:
            if not density:
                density_file(self.boxes_file(sequence)).unlink(missing_ok=True)
            # Boxes last: if they are there, the result is complete.
            write_text(self.times_file(sequence), "".join(f"{seconds:.6f}\n" for seconds in times))
            write_text(self.partial_file(sequence), "".join(format_box(box, self.integer) for box in boxes))
            os.replace(self.partial_file(sequence), self.boxes_file(sequence))  # so that none is left beside it
        except OSError as error:
            raise cannot_write(self.boxes_file(sequence), error) from error


def as_recorded_today(made_with: Any, settings: Any) -> Any:
    """An earlier record, with the names that its settings have today if they were renamed since.

    Args:
        made_with: the record, from JSON.
        settings: today's settings; nothing is renamed unless they are a dataclass.
    """
    recorded = made_with.get("settings") if isinstance(made_with, dict) else None
    if dataclasses.is_dataclass(settings) and isinstance(recorded, dict):
        return {**made_with, "settings": with_current_names(settings, recorded)}
    return made_with


def cannot_write(path: Path, error: OSError) -> ResultsError:
    """The error of a file that cannot be written."""
    return ResultsError(f"{path} cannot be written: {error.strerror}")


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """The entries in which two nested dicts differ, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = list(dict.fromkeys([*old, *new]))
        missing = "not set"
        return [
            difference
            for key in keys
            for difference in differences(
                old.get(key, missing), new.get(key, missing), f"{name}.{key}" if name else key
            )
        ]
    return [] if old == new else [f"{name} was {_short(old)} and is {_short(new)}"]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
