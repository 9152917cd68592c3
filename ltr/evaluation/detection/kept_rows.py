"""The table of detectors on disk, whose rows of other systems stay when some systems are evaluated anew.

Its JSON file has for each row what it was made with: `rows` -> key -> `made`, a provenance with the options of that
evaluation, the files of the detectors with their hashes, and the settings of their trainings.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltr.common.errors import UserError
from ltr.common.files import read_text
from ltr.common.locks import locked
from ltr.common.plain import from_json, to_plain
from ltr.common.settings import restored
from ltr.evaluation.detection.candidates import SYSTEM_SPECIFIC
from ltr.evaluation.detection.coco_metrics import CocoMetrics
from ltr.evaluation.detection.detector_evaluation import DetectorEvaluation
from ltr.evaluation.detection.table import SYSTEM_NAMES, UNREFINED, row_name
from ltr.evaluation.runs import TrainedRun, check_alike
from ltr.evaluation.tables import writing_to
from ltr.train_settings.registry import load_settings


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        results: of its runs.
        records: the same, as the JSON file has them.
        made: what it was made with.
        notes: below the table, about this row alone.
        runs: trainings of its detectors, as far as they are known.
    """

    results: list[DetectorEvaluation]
    records: list[dict[str, Any]]
    made: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    runs: list[TrainedRun] = field(default_factory=list)

    def to_plain(self) -> dict[str, Any]:
        """The row as the JSON file has it, without its records, which are beside it."""
        runs = {str(run.weights): {"settings": run.settings, "epochs": run.epochs} for run in self.runs}
        return {"made": self.made, "notes": self.notes, "runs": to_plain(runs)}

    @property
    def date(self) -> str:
        """The day on which it was made."""
        return str(self.made.get("time", "unknown"))[:10]


@contextmanager
def only_writer(folder: Path, stem: str) -> Iterator[None]:
    """A block that reads and writes the table, while other processes that want to do that wait."""
    with ExitStack() as stack:
        with writing_to(folder):
            stack.enter_context(locked(folder / f".{stem}.lock", lambda: None, remove=True))
        yield


def read_rows(file: Path) -> dict[str, Row]:
    """The rows of a table's JSON file by their keys; none if there is no such file.

    Raises:
        UserError: if it cannot be read, or is not of such a table.
    """
    try:
        content = from_json(read_text(file))
        return {str(key): _row(content, str(key)) for key in content["results"]}
    except FileNotFoundError:
        return {}
    except Exception as error:  # what is not as it was written can fail anywhere
        raise UserError(f"{file} cannot be read as a table of detectors ({type(error).__name__}: {error})") from error


def _row(content: dict[str, Any], key: str) -> Row:
    records = content["results"][key]
    results = [_evaluation(record) for record in records]
    if not results:
        raise ValueError(f"{key} has no result")
    about = content.get("rows", {}).get(key)
    if about is None:  # of an earlier version, which had one provenance for all
        return Row(results, records, {k: v for k, v in content.items() if k not in ("results", "notes")})
    system = key.partition(" ")[0]
    runs = [_run(system, file, run) for file, run in about["runs"].items()]
    return Row(results, records, dict(about["made"]), [str(note) for note in about["notes"]], runs)


def _evaluation(record: Mapping[str, Any]) -> DetectorEvaluation:
    metrics = CocoMetrics(**{name: float(value) for name, value in record["metrics"].items()})
    about = dict(record["about"])
    for name in ("annotations", "weights", "device", "threads", "refinement"):
        about[name]  # the notes need them
    seconds = [1 / float(record["images_per_second"])]
    return DetectorEvaluation(metrics, [], seconds, list(record["unreadable"]), int(record["images"]), about)


def _run(system: str, file: str, run: Mapping[str, Any]) -> TrainedRun:
    settings = restored(load_settings("detection", system).settings(), run["settings"])
    return TrainedRun(Path(file), settings, int(run["epochs"]))


def others(earlier: Mapping[str, Row], new: Mapping[str, Row]) -> dict[str, Row]:
    """The earlier rows that new ones do not replace: those of other systems, and of the same detectors without
    refinement."""
    systems = {key.partition(" ")[0] for key in new}

    def stays(key: str, row: Row) -> bool:
        system, _, rest = key.partition(" ")
        if key in new:
            return False
        return system not in systems or (rest == UNREFINED and system in new and _weights(row) == _weights(new[system]))

    return {key: row for key, row in earlier.items() if stays(key, row)}


def _weights(row: Row) -> set[str]:
    return {str(result.about["weights"]) for result in row.results}


def why_not_shared(rows: Mapping[str, Row], new: Mapping[str, Row]) -> str | None:
    """Why earlier rows cannot stand in a table with new ones; None if they can."""
    first = next(iter(new.values())).results[0]
    for key, row in rows.items():
        for result in row.results:
            if result.about["annotations"] != first.about["annotations"] or result.num_images != first.num_images:
                return f"its row {row_name(key)} is of other images"
    runs = runs_of({**rows, **new})
    try:
        if runs:
            check_alike(runs, SYSTEM_SPECIFIC)
    except UserError as error:
        return str(error).partition(";")[0]
    return None


def runs_of(rows: Mapping[str, Row]) -> list[TrainedRun]:
    """The trainings of all rows, each once, ordered by system and seed."""
    runs = {run.weights: run for row in rows.values() for run in row.runs}
    return sorted(runs.values(), key=lambda run: (run.system, run.seed, run.name))


def kept_note(rows: Mapping[str, Row]) -> list[str]:
    """The note that says which rows are of earlier evaluations."""
    order = [key for system in SYSTEM_NAMES for key in (f"{system} {UNREFINED}", system)]
    named = [f"{row_name(key)} ({rows[key].date})" for key in order if key in rows]
    return [f"Of earlier evaluations: {'; '.join(named)}."] if named else []


def move_aside(folder: Path, stem: str) -> list[Path]:
    """Gives the files of a table another name, that of the moment; returns them.

    Raises:
        UserError: if that is not possible.
    """
    now = f"{datetime.datetime.now(datetime.UTC):%Y%m%d_%H%M%S_%f}"
    moved = []
    with writing_to(folder):
        for ending in ("txt", "tex", "json"):
            file = folder / f"{stem}.{ending}"
            if file.exists():
                moved.append(folder / f"{stem}_replaced_{now}.{ending}")
                os.replace(file, moved[-1])
    return moved
