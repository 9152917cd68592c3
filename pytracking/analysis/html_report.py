"""A report as one self-contained HTML page: tables, plots, example frames, and how the results were made."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ltr.common.errors import UserError
from ltr.common.files import write_text, writing
from ltr.common.provenance import git_commit, package_version
from pytracking.analysis.box_files import GroundTruth
from pytracking.analysis.example_frames import Pick, draw_example_frames, pick_sequences
from pytracking.analysis.line_styles import line_styles
from pytracking.analysis.official import OFFICIAL
from pytracking.analysis.plots import draw_all, svg
from pytracking.analysis.score_report import Report, TrackerScore
from pytracking.analysis.tables import ANOTHER_FOLDER, columns_of, compact_json, make_folder
from pytracking.evaluation.datasets import ATTRIBUTE_NAMES

PAGE = "report.html"

_COLUMNS = {
    "auc": "AUC",
    "op50": "OP50",
    "op75": "OP75",
    "precision": "Precision",
    "norm_precision": "Norm. precision",
    "fps": "Frames/s",
}

# Facts of each tracker, and their keys in run.json.
_FACTS = {
    "seed": "seed",
    "version": "version",
    "commit": "commit",
    "hardware": "device",
    "PyTorch": "torch",
    "Python": "python",
    "system": "platform",
    "made (UTC)": "time",
}


@dataclass(frozen=True)
class _Cell:
    """A number of a table: as shown, as it is sorted, and whether it is the best of those it competes with."""

    text: str
    value: float | None
    best: bool = False


def _cells(values: Sequence[float | None], spreads: Sequence[float | None] = (), percent: bool = True) -> list[_Cell]:
    """Numbers that compete with each other, the best of several marked."""
    known = [value for value in values if value is not None]
    best = max(known) if len(known) > 1 else None
    cells = []
    for value, spread in zip(values, spreads or [None] * len(values), strict=True):
        if value is None:
            cells.append(_Cell("–", None))
            continue
        factor = 100 if percent else 1
        text = f"{factor * value:.1f}" + ("" if spread is None else f" ± {factor * spread:.1f}")
        cells.append(_Cell(text, value, value == best))
    return cells


def _columns(report: Report) -> dict[str, str]:
    """Headings by key: the benchmark's own measures, if it has them, before those of all."""
    own = {key: heading for key, heading in columns_of(report).items() if key not in _COLUMNS}
    return own | _COLUMNS


def _overall(report: Report) -> list[list[_Cell]]:
    """A row of cells for each tracker, a column for each of `_columns`."""
    columns = [
        _cells(
            [tracker.scalars().get(key) for tracker in report.trackers],
            [(tracker.std or {}).get(key) for tracker in report.trackers],
            percent=key != "fps",
        )
        for key in _columns(report)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _by_sequence(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "frames": report.trackers[0].sequences[name].frames,
            "cells": _cells([tracker.sequences[name].curves.auc for tracker in report.trackers]),
        }
        for name in report.sequences
    ]


def _by_attribute(report: Report) -> list[dict[str, Any]]:
    by_tracker = [report.by_attribute(tracker) for tracker in report.trackers]
    return [
        {
            "name": attribute,
            "long_name": ATTRIBUTE_NAMES.get(attribute, ""),
            "count": len(names),
            "cells": _cells([curves[attribute].auc for curves in by_tracker]),
        }
        for attribute, names in report.attributes.items()
    ]


def _calls(tracker: TrackerScore) -> list[dict[str, Any]]:
    """What run.json records of each call that made a tracker's results; records of another form are ignored."""
    calls = []
    for record in tracker.records:
        if isinstance(record, dict) and isinstance(record.get("runs"), list):
            made_with = record.get("made_with")
            seed = made_with.get("seed") if isinstance(made_with, dict) else None
            for call in record["runs"]:
                if isinstance(call, dict):
                    threads = call.get("threads")  # 0: one process, without workers
                    calls.append(call | {"seed": seed, "processes": 1 if threads == 0 else threads})
    return calls


def _distinct(calls: Sequence[dict[str, Any]], key: str) -> str:
    values = [call[key] for call in calls if call.get(key) is not None]
    return ", ".join(dict.fromkeys(str(value) for value in values)) or "not recorded"


def _speeds(report: Report) -> list[dict[str, Any]]:
    fastest = max((tracker.fps for tracker in report.trackers if tracker.fps is not None), default=1.0)
    rows = []
    for tracker in report.trackers:
        if tracker.fps is None:
            continue
        calls = _calls(tracker)
        rows.append(
            {
                "name": tracker.name,
                "fps": _Cell(f"{tracker.fps:.1f}", tracker.fps, tracker.fps == fastest),
                "share": f"{100 * tracker.fps / fastest:.2f}",
                "hardware": _distinct(calls, "device"),
                "processes": _distinct(calls, "processes"),
            }
        )
    return rows


def _made(report: Report) -> list[dict[str, Any]]:
    made = []
    for tracker in report.trackers:
        calls = _calls(tracker)
        facts = {
            "folder": ", ".join(str(folder) for folder in tracker.folders),
            **{label: _distinct(calls, key) for label, key in _FACTS.items() if calls},
        }
        records = [compact_json(record) for record in tracker.records if record is not None]
        made.append({"name": tracker.name, "facts": facts, "records": records})
    return made


def _examples(report: Report, sequences: Sequence[GroundTruth]) -> list[dict[str, Any]]:
    """Two groups of selected sequences, each with its frames as data URIs, or the reason why there are none."""
    by_name = {sequence.name: sequence for sequence in sequences}

    def example(pick: Pick) -> dict[str, Any]:
        try:
            frames = [
                (number, f"data:image/jpeg;base64,{base64.b64encode(data).decode()}")
                for number, data in draw_example_frames(report, by_name[pick.sequence])
            ]
            return {"pick": pick, "frames": frames, "problem": None}
        except UserError as problem:
            return {"pick": pick, "frames": [], "problem": str(problem)}

    best, worst = pick_sequences(report)
    return [{"kind": kind, "examples": list(map(example, picks))} for kind, picks in (("best", best), ("worst", worst))]


def _line(style: dict[str, Any]) -> tuple[str, str]:
    """Colour and dash pattern of a tracker's line in SVG."""
    dashes = style["linestyle"]
    return style["color"], "none" if dashes == "-" else " ".join(f"{1.6 * dash:.1f}" for dash in dashes[1])


def make_html(report: Report, sequences: Sequence[GroundTruth]) -> str:
    """The page's HTML. `sequences` are those that were scored, with images if there are any."""
    environment = Environment(
        loader=PackageLoader("pytracking.analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    leader = report.sorted("auc").trackers[0]
    groups = _examples(report, sequences)
    problems = {example["problem"] for group in groups for example in group["examples"]}
    styles = line_styles(report)
    return environment.get_template(f"{PAGE}.jinja").render(
        report=report,
        leader=leader.name,
        lines={tracker.name: _line(styles[tracker.name]) for tracker in report.trackers},
        total=len(report.sequences) + len(report.skipped),
        frame_count=sum(score.frames for score in leader.sequences.values()),
        columns=_columns(report),
        official=" ".join(OFFICIAL[scoring].explanation for scoring in report.scoring if scoring in OFFICIAL),
        overall=_overall(report),
        plots={name: Markup(svg(figure, name)) for name, figure in draw_all(report, for_page=True).items()},
        attributes=_by_attribute(report),
        sequences=_by_sequence(report),
        speeds=_speeds(report),
        groups=groups,
        no_frames=problems.pop() if len(problems) == 1 else None,  # the one reason for all sequences
        made=_made(report),
        version=package_version(),
        commit=git_commit(),
        time=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def write_html(report: Report, sequences: Sequence[GroundTruth], folder: Path) -> Path:
    """Write the page as report.html into `folder`, whole or not at all.

    Returns:
        Its path.

    Raises:
        UserError: if it cannot be written.
    """
    make_folder(folder)
    path = folder / PAGE
    with writing(path, ANOTHER_FOLDER):
        write_text(path, make_html(report, sequences))
    return path
