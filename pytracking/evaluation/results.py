"""Results of one run of one tracker, on disk.

``{results}/{tracker}/{param}[_{run:03d}]/``, where a name asked for may stand in place of the parameter's, holds for
each finished sequence

- ``{sequence}.txt``: x, y, w, h on a line for each frame, tab-separated with four decimals, in the coordinates of the
  annotation; the first line is the annotated first box. (With ``integer``, truncated as PyTracking writes them.)
- ``{sequence}_time.txt``: the tracker's seconds for each frame, initialisation first; reading images is not counted;

and, if densities were asked for, ``{sequence}_density.jsonl`` (:mod:`pytracking.evaluation.density_log`). ``run.json``
says what the results were made with, and keeps a record of each call that added to them. A sequence's files appear only
when it is complete. Until then, and after a failure, its boxes are in ``{sequence}.partial.txt``.
"""

import contextlib
import datetime
import json
import re
import shutil
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ltr.common.errors import UserError
from ltr.common.files import make_writable, write_json, write_text
from ltr.common.plain import to_plain
from pytracking.evaluation.datasets import DatasetError, TrackingSequence, read_boxes
from pytracking.evaluation.density_log import density_file

RECORD = "run.json"
RUN_FOLDER = re.compile(r"(?P<param>.+)_(?P<run>\d{3})")
"""Name of the folder of a numbered run."""


class ResultsError(UserError):
    """A results folder that cannot be written, or whose results were made with something else."""


def format_box(box: np.ndarray, integer: bool) -> str:
    """One line of a result file. ``integer`` truncates towards zero, as PyTracking does; never use it for more than
    comparing with published numbers: it costs a perfect tracker up to 14 points of overlap on small targets."""
    return "\t".join(f"{int(value)}" if integer else f"{value:.4f}" for value in box) + "\n"


class ResultFolder:
    """The folder of one run of one tracker, for writing.

    ``made_with`` is all that decides what the boxes will be (a plain dict: settings, seed, weights). A folder whose
    results were made with anything else is refused, so that one folder never mixes two trackers.
    """

    def __init__(self, path: Path, made_with: dict[str, Any], integer: bool = False):
        self.path = Path(path)
        self.integer = integer
        self.made_with = json.loads(json.dumps(to_plain({**made_with, "integer_boxes": integer})))

    def prepare(self, overwrite: bool = False) -> None:
        """Makes the folder, and sees that what is in it may be added to.

        With ``overwrite``, results that were made with other settings are moved to a sub-folder ``replaced_{time}``.
        Raises ResultsError where the folder cannot be written, or holds results made with other settings.
        """
        try:
            make_writable(self.path)
        except OSError as error:
            raise ResultsError(
                f"the results folder {self.path} cannot be written ({error.strerror}); choose another with --results"
            ) from error
        difference = self._difference()
        if difference is None:
            return
        if not overwrite:
            raise ResultsError(
                f"{self.path} holds results that were made otherwise ({difference}); give this run a folder of its own "
                "with --runid or --save_as, or replace them with --overwrite"
            )
        now = datetime.datetime.now(datetime.UTC)
        replaced = self.path / f"replaced_{now:%Y%m%d_%H%M%S_%f}"
        replaced.mkdir()
        for file in [path for path in self.path.iterdir() if path.is_file()]:
            shutil.move(file, replaced / file.name)

    def _difference(self) -> str | None:
        """What the results in the folder were made with, where that is not ``made_with``; None where all is well."""
        record = self._read_record()
        if record is None:
            there = any(self.path.glob("*.txt"))
            return f"there is no {RECORD} to say how" if there else None
        changes = _changes(record.get("made_with", {}), self.made_with)
        return "; ".join(changes[:3]) + (f"; and {len(changes) - 3} more" if len(changes) > 3 else "") or None

    def _read_record(self) -> dict[str, Any] | None:
        try:
            record = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ResultsError(f"{self.path / RECORD} cannot be read ({error}); delete it, or use --runid") from error
        if not isinstance(record, dict):
            raise ResultsError(f"{self.path / RECORD} is not the record of a run; delete it, or use --runid")
        return record

    def add_record(self, provenance: dict[str, Any]) -> None:
        """Notes in run.json that a run with this provenance adds to the folder."""
        runs = (self._read_record() or {}).get("runs", [])
        # The settings stand once, under made_with.
        run = {key: value for key, value in provenance.items() if key not in ("settings", "seed")}
        write_json(self.path / RECORD, {"made_with": self.made_with, "runs": [*runs, run]})

    def boxes_file(self, sequence: str) -> Path:
        return self.path / f"{sequence}.txt"

    def times_file(self, sequence: str) -> Path:
        return self.path / f"{sequence}_time.txt"

    def partial_file(self, sequence: str) -> Path:
        return self.path / f"{sequence}.partial.txt"

    def is_finished(self, sequence: TrackingSequence, density: bool = False) -> tuple[bool, str]:
        """Whether a whole result of this very sequence is here, with its densities if those are wanted, and, if one is
        here that is not, the reason."""
        file = self.boxes_file(sequence.name)
        if not file.exists():
            return False, ""
        try:
            boxes = read_boxes(file)
        except DatasetError as error:
            return False, str(error)
        if len(boxes) != len(sequence):
            return False, f"{file} has {len(boxes)} lines for {len(sequence)} frames"
        # Another sequence of the same name and length, from another data set, starts elsewhere.
        first = np.array(format_box(sequence.ground_truth[0], self.integer).split(), np.float64)
        if not np.allclose(boxes[0], first, atol=1e-3):
            return False, f"{file} starts from another box than the sequence does now"
        if density and not density_file(file).exists():
            return False, f"{file} has no densities beside it"
        return True, ""

    def save(self, sequence: str, boxes: np.ndarray, times: np.ndarray) -> None:
        """Writes a finished sequence: ``boxes`` (N, 4) in annotation coordinates, ``times`` (N,) seconds."""
        try:
            # Boxes come last: where they are, all is there.
            write_text(self.times_file(sequence), "".join(f"{seconds:.6f}\n" for seconds in times))
            write_text(self.boxes_file(sequence), "".join(format_box(box, self.integer) for box in boxes))
            self.partial_file(sequence).unlink(missing_ok=True)
        except OSError as error:
            raise _cannot_write(self.boxes_file(sequence), error) from error


class PartialResult:
    """Boxes of a sequence under way, written line by line, so that even a killed process leaves what it had."""

    def __init__(self, folder: ResultFolder, sequence: str):
        self._path, self._integer = folder.partial_file(sequence), folder.integer
        self._file: TextIO | None = None

    def __enter__(self) -> "PartialResult":
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)  # of an earlier try
        return self

    def add(self, box: np.ndarray) -> None:
        """Adds one frame's box, (4,) in annotation coordinates."""
        try:
            if self._file is None:  # nothing is left behind by a sequence that fails on its first frame
                self._file = open(self._path, "w", buffering=1, encoding="utf-8")
            self._file.write(format_box(box, self._integer))
        except OSError as error:
            raise _cannot_write(self._path, error) from error

    def __exit__(self, *exception) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()


def _cannot_write(path: Path, error: OSError) -> ResultsError:
    return ResultsError(f"{path} cannot be written: {error.strerror}")


def _changes(old: Any, new: Any, name: str = "") -> list[str]:
    """The leaves in which two nested dicts differ, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = list(dict.fromkeys([*old, *new]))
        return [
            change
            for key in keys
            for change in _changes(old.get(key, "not set"), new.get(key, "not set"), f"{name}.{key}" if name else key)
        ]
    return [] if old == new else [f"{name} was {_short(old)} and is {_short(new)}"]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
