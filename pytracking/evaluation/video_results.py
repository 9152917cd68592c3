"""The results of a run on a video: boxes and times as text, and one JSON file with all of it.

    {name}.txt           x, y, w, h on a line for each frame, tab-separated with four decimals, pixels from 0
    {name}_time.txt      the tracker's seconds for each frame, initialisation first
    {name}_density.jsonl p(y | x) of each frame, if it was asked for, see `density_log`
    {name}.json          frames with their times, boxes, scores and flags; how they were made

If there are several objects, the names of the first three end with the object's: {name}_1.txt, .... Text is written
line by line, under names that end in .partial.txt until the run is over, so that even a killed process leaves its
lines.
"""

from __future__ import annotations

import contextlib
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from ltr.common.errors import UserError
from ltr.common.files import make_writable, write_text
from ltr.common.plain import to_plain
from pytracking.evaluation.density_log import DensityLog, density_file
from pytracking.evaluation.results import format_box
from pytracking.view.base import Request, Target, TrackedFrame


class VideoResults:
    """A view that writes the results of a run on a video.

    Args:
        folder: created if it does not exist. Results of the same name are replaced when this run ends.
        name: of the results.
        density: request the densities and write them.

    Attributes:
        head: the fields before the frames in the JSON file.

    Raises:
        UserError: if the folder cannot be written.
    """

    def __init__(self, folder: Path, name: str, density: bool = False):
        self.folder = Path(folder)
        self.head: dict[str, Any] = {}
        self.frames: list[dict[str, Any]] = []
        self._name = name
        self._density = density
        self._files: list[_ObjectFiles] = []
        self._prepare()

    def _prepare(self) -> None:
        try:
            make_writable(self.folder)
        except OSError as error:
            raise UserError(
                f"the results folder {self.folder} cannot be written ({error.strerror}); choose another with --out"
            ) from error

    def text_files(self) -> str:
        """The files of the boxes, in words."""
        files = [str(files.path) for files in self._files]
        return files[0] if len(files) == 1 else f"{files[0]} to {files[-1]}" if files else ""

    def request(self) -> Request:
        return Request(density=self._density)

    def show(self, frame: TrackedFrame) -> bool:
        if not self._files:
            single = len(frame.targets) == 1
            names = [self._name] if single else [f"{self._name}_{target.name}" for target in frame.targets]
            self._files = [_ObjectFiles(self.folder / f"{name}.txt", self._density) for name in names]
        for files, target in zip(self._files, frame.targets, strict=True):
            files.add(frame.index, target)
        objects = [
            {
                "name": target.name,
                "box": [round(float(value), 4) for value in target.output.box],
                "score": float(target.output.score),
                "flag": target.output.flag,
            }
            for target in frame.targets
        ]
        time = None if frame.time is None else round(frame.time, 6)
        self.frames.append({"index": frame.index, "time": time, "objects": objects})
        return True

    def close(self, complete: bool) -> None:
        if not self.frames:
            return
        with ExitStack() as stack:  # closes all of them, even if one fails
            for files in self._files:
                stack.callback(files.close)
        head = {**self.head, "complete": complete, "number_of_frames": len(self.frames)}
        # One frame a line, so that people can read it too.
        lines = ",\n".join(f"    {json.dumps(to_plain(frame))}" for frame in self.frames)
        file = self.folder / f"{self._name}.json"
        start = json.dumps(to_plain(head), indent=2).removesuffix("\n}")
        try:
            write_text(file, f'{start},\n  "frames": [\n{lines}\n  ]\n}}\n')
        except OSError as error:
            raise UserError(f"{file} cannot be written: {error.strerror}") from error


class _ObjectFiles:
    """The text files of one object while they are written."""

    def __init__(self, path: Path, density: bool):
        self.path = path
        self._times_path = path.with_name(f"{path.stem}_time.txt")
        self._boxes = self._open(path)
        self._times = self._open(self._times_path)
        self._density = DensityLog(density_file(path)) if density else None

    @staticmethod
    def _open(path: Path) -> TextIO:
        with _explained(path):
            return open(_partial(path), "w", buffering=1, encoding="utf-8")

    def add(self, index: int, target: Target) -> None:
        with _explained(self.path):
            self._boxes.write(format_box(target.output.box, integer=False))
        with _explained(self._times_path):
            self._times.write(f"{target.seconds:.6f}\n")
        if self._density:
            self._density.add(index, target)

    def close(self) -> None:
        """Give the files their own names, which needs no room on a full disk."""
        for file, path in ((self._times, self._times_path), (self._boxes, self.path)):
            with contextlib.suppress(OSError):  # a line that could not be written was reported before
                file.close()
            with _explained(path):
                _cut_half_a_line(_partial(path))
                _partial(path).replace(path)
        if self._density:
            self._density.__exit__(None, None, None)


def _partial(path: Path) -> Path:
    return path.with_suffix(".partial.txt")


def _cut_half_a_line(path: Path) -> None:
    """Remove an incomplete last line, which a full disk leaves: it would be taken for a box."""
    text = path.read_bytes()
    if not text.endswith(b"\n"):
        with open(path, "r+b") as file:
            file.truncate(text.rfind(b"\n") + 1)


@contextlib.contextmanager
def _explained(path: Path):
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
