"""p(y | x) of every frame of a run, as one JSON object a line.

    {"frame": 7, "box": [x, y, w, h], "score": 0.71, "flag": "normal",
     "mean": [x, y, w, h], "covariance": [[...], ...],
     "intervals": {"0.5": [[low, high], ...], "0.8": ..., "0.95": ...},
     "effective_sample_size": 371.2,
     "truth": {"box": [x, y, w, h], "level": 0.62, "cdf": [...]}}

Frames count from 0; in pixels, the first one of the image covers [0, 1], as for the tracker. Intervals are the central
ones of left, top, right and bottom, in pixels. Annotated frames have ``truth``: ``level`` is the least level whose
credible region holds the annotated box, ``cdf`` the probability that each side lies below the annotated one;
`ebm-analyse coverage` makes its table from these two. A frame without a density, such as the first, has the first line
only.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ltr.common.errors import UserError
from pytracking.evaluation.text_lines import GrowingFile
from pytracking.view.base import Target

LEVELS = (0.5, 0.8, 0.95)


def density_file(boxes_file: Path) -> Path:
    """The file beside a result file of boxes: {sequence}_density.jsonl."""
    return boxes_file.with_name(f"{boxes_file.stem}_density.jsonl")


class DensityLog:
    """Writes the file, line by line. Use it in a ``with`` statement.

    Its name ends in .partial.jsonl while it is written, and stays so if the run fails.

    Raises:
        UserError: if the file cannot be written.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self._partial = self.path.with_suffix(".partial.jsonl")
        self._file: GrowingFile | None = None

    def __enter__(self) -> DensityLog:
        return self

    def add(self, index: int, target: Target) -> None:
        """Add the frame `index`, counted from 0."""
        self.add_line(index, density_line(index, target))

    def add_line(self, index: int, line: str) -> None:
        """Add a frame's line, as :func:`density_line` makes it."""
        with self._explained():
            if self._file is None:
                self._partial.parent.mkdir(parents=True, exist_ok=True)
                self._file = GrowingFile(self._partial, self._frames)
            self._file.add(index, line + "\n")

    def __exit__(self, kind, error, trace) -> None:
        if self._file is None:
            return
        if kind is not None:
            self._file.abandon()
            return
        with self._explained():
            self._file.finish()
            os.replace(self._partial, self.path)

    def _frames(self) -> Iterator[int]:
        with open(self._partial, encoding="utf-8") as lines:
            for line in lines:
                yield int(line.split(",", 1)[0].removeprefix('{"frame": '))

    @contextlib.contextmanager
    def _explained(self):
        try:
            yield
        except OSError as error:
            raise UserError(f"the densities {self._partial} cannot be written: {error.strerror or error}") from error


def density_line(index: int, target: Target) -> str:
    """The line of the frame `index`, counted from 0."""
    output, density = target.output, target.output.density
    line = {"frame": index, "box": _plain(output.box), "score": float(output.score), "flag": output.flag}
    if density is not None:
        line |= density.to_json(LEVELS)
        if target.truth is not None:
            level, cdf = density.level(target.truth), density.cdf(target.truth)
            line["truth"] = {"box": _plain(target.truth), "level": round(level, 5), "cdf": _plain(cdf)}
    return json.dumps(line)


def _plain(array: np.ndarray) -> list[float]:
    return np.round(np.asarray(array, np.float64), 4).tolist()
