"""A report as tables: aligned text, Markdown, CSV with one row per tracker and sequence, and JSON with everything."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ltr.common.errors import UserError
from ltr.common.files import write_text, writing
from pytracking.analysis.official import OFFICIAL
from pytracking.analysis.score_report import Report, TrackerScore

COLUMNS = {
    "auc": "AUC",
    "op50": "OP50",
    "op75": "OP75",
    "precision": "Prec",
    "norm_precision": "NPrec",
    "fps": "FPS",
}
ALL_COLUMNS = COLUMNS | {key: heading for each in OFFICIAL.values() for key, heading in each.columns.items()}
"""Also the measures that some benchmarks have of their own."""
ANOTHER_FOLDER = "choose another folder with --out"
"""What to do about a file that cannot be written."""
_IN_HALVES = ("auc", "op50", "op75")


def _cell(key: str, value: float | None, std: float | None = None) -> str:
    """Rates in percent with two decimals, speeds with one."""
    if value is None:
        return "-"
    if key == "fps":
        return f"{value:.1f}"
    return f"{100 * value:.2f}" + ("" if std is None else f"±{100 * std:.2f}")


def columns_of(report: Report) -> dict[str, str]:
    """The columns of a report's tables, heading by key: the benchmark's own measures if it has them, else COLUMNS."""
    (scoring,) = report.scoring if len(report.scoring) == 1 else ("",)
    return {**OFFICIAL[scoring].columns, "fps": COLUMNS["fps"]} if scoring in OFFICIAL else COLUMNS


def leading(report: Report) -> str:
    """The key of the first column: what the benchmark ranks by."""
    return next(iter(columns_of(report)))


def _header(report: Report) -> tuple[str, ...]:
    if not report.halves:
        return ("Tracker", *columns_of(report).values())
    parts = ["", *(f" {half}" for half in report.halves)]
    return ("Tracker", *(f"{COLUMNS[key]}{part}" for key in _IN_HALVES for part in parts))


def _tracker_row(report: Report, tracker: TrackerScore, pad: str = "") -> list[str]:
    """The cells below `_header`; of several runs, with their standard deviation. `pad` follows each rate."""

    def cell(key: str, mean: Mapping[str, float | None], std: Mapping[str, float] | None) -> str:
        return _cell(key, mean.get(key), (std or {}).get(key)) + (pad if key != "fps" else "")

    if not report.halves:
        return [tracker.name, *(cell(key, tracker.scalars(), tracker.std) for key in columns_of(report))]
    halves = [tracker.over(names) for names in report.halves.values()]
    cells = []
    for key in _IN_HALVES:
        cells += [cell(key, tracker.scalars(), tracker.std), *(cell(key, mean, std) for mean, std in halves)]
    return [tracker.name, *cells]


def _halves_lines(report: Report) -> list[str]:
    """A line for each half with its sequences; none without halves."""
    return [
        f"half {half}, {len(names)} sequence{'s' if len(names) > 1 else ''}: {', '.join(names)}"
        for half, names in report.halves.items()
    ]


def _title(report: Report) -> str:
    if not report.sequences:
        return f"{report.dataset}, {len(report.unscored)} sequences, which are not scored here"
    total = len(report.sequences) + len(report.skipped)
    counted = f"{total} sequences" if not report.skipped else f"{len(report.sequences)} of {total} sequences"
    return f"{report.dataset}, {counted}" + (", invalid frames excluded" if report.exclude_invalid else "")


def align(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text with the first column aligned left, the others right, and a rule below the header."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(
            [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line(header), rule, *map(line, rows)])


def tracker_table(report: Report) -> str:
    """One row per tracker: AUC, OP50, OP75, precision at 20 px and normalised precision at 0.20 in percent, or the
    measures of the benchmark, and frames per second. The mean of several runs has their standard deviation behind it.

    With halves: AUC, OP50 and OP75 of all sequences and of each half, and below the table the sequences of each half.
    """
    # If some rows have a spread, keep the decimal points of the others in line.
    pad = " " * len("±0.00") if any(tracker.std for tracker in report.trackers) else ""
    rows = [_tracker_row(report, tracker, "" if tracker.std else pad) for tracker in report.trackers]
    return "\n".join([_title(report), align(_header(report), rows), *_halves_lines(report)])


def sequence_table(report: Report, metric: str = "auc") -> str:
    """One row per sequence: for several trackers `metric` (a key of the columns) of each, the best marked with *; for
    one tracker every metric. The mean of several runs has their standard deviation behind it.
    """
    if len(report.trackers) == 1:
        (tracker,) = report.trackers
        columns = columns_of(report)
        header = ("Sequence", *columns.values(), "Frames")
        rows = [
            [
                name,
                *(
                    _cell(key, _sequence_value(tracker, name, key), _sequence_spread(tracker, name, key))
                    for key in columns
                ),
                str(score.frames),
            ]
            for name, score in tracker.sequences.items()
        ]
        return f"{tracker.name} on {_title(report)}\n{align(header, rows)}"
    rows = []
    for name in report.sequences:
        values = [_sequence_value(tracker, name, metric) for tracker in report.trackers]
        best = max((value for value in values if value is not None), default=None)
        spreads = [_sequence_spread(tracker, name, metric) for tracker in report.trackers]
        cells = [_cell(metric, v, std) for v, std in zip(values, spreads, strict=True)]
        marks = ["*" if v is not None and v == best else " " for v in values]
        rows.append([name, *(cell + mark for cell, mark in zip(cells, marks, strict=True))])
    header = ("Sequence", *(f"{tracker.name} " for tracker in report.trackers))
    means = [
        _cell(metric, tracker.scalars().get(metric), (tracker.std or {}).get(metric)) for tracker in report.trackers
    ]
    mean = ["mean", *(f"{cell} " for cell in means)]
    return f"{ALL_COLUMNS[metric]} per sequence, {_title(report)}, * best\n{align(header, [*rows, mean])}"


def _sequence_value(tracker: TrackerScore, sequence: str, metric: str) -> float | None:
    if metric == "fps":
        return tracker.sequence_fps.get(sequence)
    return tracker.sequences[sequence].scalars().get(metric)


def _sequence_spread(tracker: TrackerScore, sequence: str, metric: str) -> float | None:
    """The standard deviation of a sequence's rate over the runs; None for one run, and for speeds."""
    return (tracker.over([sequence])[1] or {}).get(metric)


def markdown_table(report: Report) -> str:
    """The tracker table in Markdown."""
    header = _header(report)
    rows = [_tracker_row(report, tracker) for tracker in report.trackers]
    table = "\n".join(f"| {' | '.join(line)} |" for line in (header, ("---", *["---:"] * (len(header) - 1)), *rows))
    return "\n\n".join([_title(report), table, *_halves_lines(report)]) + "\n"


def sequences_csv(report: Report) -> str:
    """CSV with one row per tracker and sequence, rates in [0, 1] in full precision."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    own = [key for key in columns_of(report) if key not in COLUMNS]
    writer.writerow(["tracker", "sequence", "frames", *COLUMNS, *own])
    for tracker in report.trackers:
        for name, score in tracker.sequences.items():
            row = [*score.curves.scalars().values(), tracker.sequence_fps.get(name, "")]
            row += [score.official[key] for key in own]
            writer.writerow([tracker.name, name, score.frames, *row])
    return out.getvalue()


def compact_json(value: Any) -> str:
    """JSON on several lines, with every list of numbers or names on one."""
    text = json.dumps(value, indent=1)
    return re.sub(r"\[\n[^\[\]{}]*\]", lambda match: re.sub(r"\n\s*", " ", match[0]), text) + "\n"


def write_tables(report: Report, folder: Path) -> list[Path]:
    """Write results.json, table.txt (with the table per sequence), table.md and sequences.csv.

    Returns:
        Their paths.

    Raises:
        UserError: if one cannot be written.
    """
    contents = {
        "results.json": compact_json(report.to_json()),
        "table.txt": "\n\n".join([tracker_table(report), sequence_table(report, leading(report)), *report.notes])
        + "\n",
        "table.md": markdown_table(report),
        "sequences.csv": sequences_csv(report),
    }
    make_folder(folder)
    paths = []
    for name, content in contents.items():
        paths.append(folder / name)
        with writing(paths[-1], ANOTHER_FOLDER):
            write_text(paths[-1], content)
    return paths


def make_folder(folder: Path) -> None:
    """Create the output folder.

    Raises:
        UserError: if that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the output folder {folder} cannot be created: {error.strerror}; choose another with --out"
        ) from error
