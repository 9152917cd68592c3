"""Calibration of p(y | x): how often the truth lies inside the credible regions of a tracker's densities.

`ebm-track --density` writes the densities (:mod:`pytracking.evaluation.density_log`). A region of level 80% should hold
the annotated box in 80% of the frames: if it holds it less often, the tracker is overconfident, if more often,
underconfident. Two kinds of regions are checked: the region of highest density over whole boxes, and the central
interval of each side. Frames of one sequence are alike, so each sequence counts once, and the standard error is that of
the mean over sequences.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ltr.common.errors import UserError
from ltr.common.files import read_text
from ltr.common.plain import from_json
from pytracking.analysis.metrics import overlap
from pytracking.analysis.tables import align
from pytracking.analysis.tracker_results import TrackerResults
from pytracking.evaluation.density_log import LEVELS, density_file
from pytracking.tracker.density import SIDES

ON_TARGET = 0.5
"""Frames whose box overlaps the annotated one by more also count separately: a density around a lost target cannot hold
it, and shows that only in part."""


@dataclass(frozen=True)
class SequenceDensities:
    """The densities of one sequence at its annotation, for N frames that have both.

    Attributes:
        level: (N,) least level whose region holds the annotated box.
        cdf: (N, 4) probability that each side lies below the annotated one.
        width: (N, 4) of each side's 95% interval, relative to the box's width (left, right) or height (top, bottom).
        overlap: (N,) IoU of the tracker's box with the annotated one.
        sample_size: (N,) effective sample sizes.
    """

    level: np.ndarray
    cdf: np.ndarray
    width: np.ndarray
    overlap: np.ndarray
    sample_size: np.ndarray

    def of(self, frames: np.ndarray) -> SequenceDensities:
        """The selected frames; `frames` is bool (N,)."""
        return SequenceDensities(*(getattr(self, name)[frames] for name in self.__dataclass_fields__))

    def covered(self, level: float) -> np.ndarray:
        """(5,) shares of frames: with the annotated box inside its region, then with each side inside its interval."""
        tail = (1 - level) / 2
        inside = (self.cdf >= tail) & (self.cdf <= 1 - tail)
        return np.concatenate([[np.mean(self.level <= level)], inside.mean(axis=0)])


def read_densities(file: Path) -> SequenceDensities:
    """Read the frames of a density file that have both density and annotation.

    Raises:
        UserError: if the file cannot be understood; the message names file and line.
    """
    rows = []
    try:
        lines = read_text(file).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the densities {file} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        try:
            frame = dict(from_json(line))
            if "truth" not in frame:
                continue
            box, truth = np.array(frame["box"], float), np.array(frame["truth"]["box"], float)
            interval = np.array(frame["intervals"]["0.95"], float)
            rows.append(
                (
                    float(frame["truth"]["level"]),
                    np.array(frame["truth"]["cdf"], float).reshape(4),
                    (interval[:, 1] - interval[:, 0]).reshape(4) / box[[2, 3, 2, 3]],
                    float(overlap(box[None], truth[None])[0]),
                    float(frame["effective_sample_size"]),
                )
            )
        except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
            raise UserError(f"{file}, line {number}: not a frame of a density file ({error!r})") from error
    if not rows:
        raise UserError(f"{file} has no frame with a density and an annotated box")
    return SequenceDensities(*(np.array(column) for column in zip(*rows, strict=True)))


@dataclass(frozen=True)
class Coverage:
    """One tracker's coverage over sequences.

    Attributes:
        tracker: its name.
        sequences: by name, with all their frames.
        missing: names of sequences without a density file.
    """

    tracker: str
    sequences: dict[str, SequenceDensities]
    missing: tuple[str, ...]

    def on_target(self) -> dict[str, SequenceDensities]:
        """The frames whose box is on the target, for the sequences that have any."""
        kept = {name: s.of(s.overlap > ON_TARGET) for name, s in self.sequences.items()}
        return {name: s for name, s in kept.items() if len(s.level)}

    def rows(self, levels: Iterable[float] = LEVELS) -> list[dict[str, Any]]:
        """One row for each selection of frames and level: mean and standard error of the coverage over sequences."""
        rows = []
        for frames, sequences in (("all", self.sequences), ("on target", self.on_target())):
            for level in levels:
                shares = np.array([s.covered(level) for s in sequences.values()]).reshape(-1, 5)
                if not len(shares):
                    continue
                error = shares.std(axis=0, ddof=1) / np.sqrt(len(shares)) if len(shares) > 1 else np.full(5, np.nan)
                rows.append(
                    {
                        "frames": frames,
                        "count": int(sum(len(s.level) for s in sequences.values())),
                        "level": level,
                        "coverage": dict(zip(("box", *SIDES), shares.mean(axis=0).tolist(), strict=True)),
                        "standard_error": dict(zip(("box", *SIDES), error.tolist(), strict=True)),
                    }
                )
        return rows

    def table(self) -> str:
        """The rows as text, and a line on the width of the intervals."""
        header = ("frames", "level", "box", *SIDES)
        lines = [
            (
                row["frames"],
                f"{100 * row['level']:.0f}%",
                *(
                    f"{100 * value:.1f}" + ("" if np.isnan(error) else f"±{100 * error:.1f}")
                    for value, error in zip(row["coverage"].values(), row["standard_error"].values(), strict=True)
                ),
            )
            for row in self.rows()
        ]
        width = np.mean([np.median(s.width, axis=0) for s in self.sequences.values()], axis=0)
        sample = np.median(np.concatenate([s.sample_size for s in self.sequences.values()]))
        frames = sum(len(s.level) for s in self.sequences.values())
        widths = ", ".join(f"{side} {100 * w:.0f}%" for side, w in zip(SIDES, width, strict=True))
        return (
            f"{self.tracker}: {frames} frames of {len(self.sequences)} sequences; truth inside, in %\n"
            f"{align(header, lines)}\n"
            f"95% intervals, median width relative to the box: {widths}; effective sample size {sample:.0f} (median)"
        )

    def to_json(self) -> dict[str, Any]:
        """Everything in the table, and the coverage of each sequence."""
        return {
            "tracker": self.tracker,
            "rows": [{**row, "standard_error": _finite(row["standard_error"])} for row in self.rows()],
            "missing_sequences": list(self.missing),
            "sequences": {
                name: {
                    "frames": len(s.level),
                    "coverage": {f"{level:g}": s.covered(level).tolist() for level in LEVELS},
                    "median_relative_width": np.median(s.width, axis=0).tolist(),
                }
                for name, s in self.sequences.items()
            },
        }


def _finite(errors: dict[str, float]) -> dict[str, float] | None:
    """None for a single sequence, which has no spread: JSON knows no NaN."""
    return None if any(np.isnan(value) for value in errors.values()) else errors


def has_densities(result: TrackerResults) -> bool:
    """Whether any of the box files has a density file beside it."""
    return any(density_file(boxes).is_file() for boxes in result.files.values())


def coverage(result: TrackerResults, sequences: Sequence[str]) -> Coverage:
    """The coverage of one tracker's densities on the sequences that have them.

    Raises:
        UserError: if there is no density at all, or a file cannot be understood.
    """
    files = {name: density_file(result.files[name]) for name in sequences if name in result.files}
    found = {name: read_densities(file) for name, file in files.items() if file.is_file()}
    if not found:
        raise UserError(
            f"{result.name} has no densities in {result.folder}; run it with --density (a tracker that predicts an "
            "IoU, such as ATOM, has none)"
        )
    return Coverage(result.name, found, tuple(name for name in sequences if name not in found))
