"""The results of a run on a video: boxes and times as text, and one JSON file with all of it.

    {name}.txt           x, y, w, h on a line for each frame, tab-separated with four decimals, pixels from 0
    {name}_time.txt      the tracker's seconds for each frame, initialisation first
    {name}_frames.txt    the index in the source, from 0, of the frame on each line of these files
    {name}_density.jsonl p(y | x) of each frame, if it was asked for, see `density_log`
    {name}.json          frames with their times, boxes, scores and flags; how they were made

If there are several objects, the names of boxes, times and densities end with the object's: {name}_1.txt, .... Lines
are in the order of the source, also if the run went backward. Before the first box of an object its line is four NaN,
and its box in the JSON file null. All is written line by line, in the order of the run and under names that end in
.partial.txt until it is over, those of the JSON file in {name}_frames.partial.jsonl: a killed process leaves its
lines, and a run of days takes no more memory than one of seconds.

The name is that of the source, such as `clip` for clip.mp4. If files of this name hold the results of another source,
the name is extended: clip_gif, cam2_clip, .... A second run on one source replaces the results of the first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ltr.common.errors import UserError
from ltr.common.files import make_writable, writing
from ltr.common.locks import locked
from ltr.common.plain import to_plain
from pytracking.annotation.record_file import RecordFile, write_record
from pytracking.annotation.video_record import ABSENT_FLAG
from pytracking.evaluation.density_log import DensityLog, density_file
from pytracking.evaluation.results import format_box
from pytracking.evaluation.text_lines import REMEDY, GrowingFile, TextLines
from pytracking.utils.video import FrameSource, warn
from pytracking.view.base import NOT_STARTED, Request, Target, TrackedFrame


class VideoResults:
    """A view that writes the results of a run on a video.

    Args:
        folder: created if it does not exist. Earlier results of this source are replaced when this run ends.
        source: names the results.
        density: request the densities and write them.

    Attributes:
        head: the fields before the frames in the JSON file.
        frames: number of frames.
        lost: number of frames in which a target was lost; of a run that went over frames twice, once it is closed.

    Raises:
        UserError: if the folder cannot be written.
    """

    def __init__(self, folder: Path, source: FrameSource, density: bool = False):
        self.folder = Path(folder)
        self.head: dict[str, Any] = {}
        self.frames = self.lost = 0
        self._rows: GrowingFile | None = None
        self._source = source
        self._name = source.name
        self._density = density
        self._only = ExitStack()  # the lock of this run
        self._files: list[_ObjectFiles] = []
        self._ends: list[str] = []  # of the names of each object's files
        with writing(self.folder, "choose another folder with --out"):
            make_writable(self.folder)

    def text_files(self) -> str:
        """The files of the boxes, in words."""
        files = [str(files.path) for files in self._files]
        return files[0] if len(files) == 1 else f"{files[0]} to {files[-1]}" if files else ""

    def record_file(self) -> Path:
        """The JSON file, which is there once this view is closed."""
        return self.folder / f"{self._name}.json"

    def request(self) -> Request:
        return Request(density=self._density)

    def show(self, frame: TrackedFrame) -> bool:
        if self._rows is None:
            self._rows = self._begin(frame)
        row = {
            "index": frame.index,
            "time": None if frame.time is None else round(frame.time, 6),
            "objects": [_object_record(target) for target in frame.targets],
        }
        with writing(self._rows.path, REMEDY):
            self._rows.add(frame.index, json.dumps(to_plain(row)) + "\n")
        for files, target in zip(self._files, frame.targets, strict=True):
            files.add(frame.index, target)
        self._index_file.add(frame.index, f"{frame.index}\n")
        self.frames += 1
        self.lost += any(target.output.flag == ABSENT_FLAG for target in frame.targets)
        return True

    def _begin(self, frame: TrackedFrame) -> GrowingFile:
        """Open the files; returns that of the JSON file's frames."""
        ends = self._ends = object_ends([target.name for target in frame.targets])
        with writing(self.folder / self._source.name, REMEDY):  # its name may be too long
            self._name = self._take_name(ends)
            self._only.enter_context(locked(_reservation(self.folder, self._name), when_taken=self._refuse))
        index = self._index_file = TextLines(self.folder / f"{self._name}_frames.txt")
        self._files = [_ObjectFiles(self.folder / f"{self._name}{end}.txt", index, self._density) for end in ends]
        rows = self.folder / f"{self._name}_frames.partial.jsonl"
        with writing(rows, REMEDY):
            return GrowingFile(rows, index.frames)

    def _refuse(self) -> None:
        raise UserError(
            f"a run on {self._source} is going on in {self.folder}; wait for it, or name another folder by --out"
        )

    def _take_name(self, ends: list[str]) -> str:
        """The first name whose files hold no results of another source; reserves it.

        Args:
            ends: what follows the name in the files of each object.
        """
        identity = source_identity(self._source)
        others: list[str] = []
        for name in _names(self._source):
            other = _other_source(self.folder, name, ends, identity)
            if other is None:
                if name != self._source.name:
                    where = f"{self._source.name} in {self.folder} has those of {others[0]}"
                    warn(f"the results are called {name}, for {where}")
                return name
            others.append(other)
        raise AssertionError("there is always another name")

    def close(self, complete: bool) -> None:
        with self._only:
            self._close(complete)

    def _close(self, complete: bool) -> None:
        if self._rows is None or not self.frames:
            return
        with ExitStack() as stack:  # closes all of them, even if one fails
            stack.callback(self._remove_earlier)
            stack.callback(self._index_file.close)  # after the others, which it puts in order
            for files in self._files:
                stack.callback(files.close)
            stack.enter_context(writing(self._rows.path, REMEDY))
            self._rows.finish()
        self._count(self._rows.path)
        head = {
            **self.head,
            **source_identity(self._source),
            "complete": complete,
            "number_of_frames": self.frames,
        }
        if self._source.live:
            head["gaps"] = [gap._asdict() for gap in getattr(self._source, "gaps", ())]
        file = self.record_file()
        with writing(file, REMEDY):
            with open(self._rows.path, "rb") as rows:
                write_record(file, head, (row.rstrip() for row in rows))
            self._rows.path.unlink()
            _reservation(self.folder, self._name).unlink(missing_ok=True)

    def _count(self, rows: Path) -> None:
        """Count the frames anew, of which some may have been shown twice."""
        with open(self._index_file.path, "rb") as lines:
            self.frames = sum(1 for _ in lines)
        absent = f'"flag": "{ABSENT_FLAG}"'.encode()
        with open(rows, "rb") as lines:
            self.lost = sum(absent in line for line in lines)

    def _remove_earlier(self) -> None:
        """Remove the files of an earlier run on this source that this run has not written, such as those of further
        objects."""
        record, identity = _recorded(self.record_file()), source_identity(self._source)
        if record is None or not _same(record, identity):
            return
        ends = object_ends([str(number + 1) for number in range(len(record.get("first_boxes", [])))])
        for file in set(_files_of(self._name, ends)) - set(_files_of(self._name, self._ends)):
            if all(_same(owner, identity) for owner in _owners(self.folder, file)):
                with writing(self.folder / file, REMEDY):
                    (self.folder / file).unlink(missing_ok=True)


def _object_record(target: Target) -> dict[str, Any]:
    nothing = target.output.flag == NOT_STARTED
    return {
        "name": target.name,
        "box": None if nothing else [round(float(value), 4) for value in target.output.box],
        "score": None if nothing else float(target.output.score),
        "flag": target.output.flag,
        "given": target.given,
    }


def source_identity(source: FrameSource) -> dict[str, str]:
    """What tells a source from others: the text that names it, and the whole path of a file or folder."""
    path = None if "://" in str(source) else getattr(source, "path", None)
    return {"source": str(source), **({} if path is None else {"path": str(Path(path).resolve())})}


def recorded_run(folder: Path, source: FrameSource) -> tuple[Path, dict[str, Any]] | None:
    """The record of an earlier run on this source, without its frames, and its file; None if there is none in the
    folder."""
    identity = source_identity(source)
    for name in _names(source):
        file = folder / f"{name}.json"
        record = _recorded(file)
        if record is None or _same(record, identity):
            return None if record is None else (file, record)
    return None


def _names(source: FrameSource) -> Iterator[str]:
    """Names for the results of a source, the shortest first."""
    yield source.name
    path = Path(source_identity(source).get("path", ""))
    suffix = path.suffix[1:] if path.is_file() else ""
    longer = [source.name, f"{path.parent.name}_{source.name}"] if path.parent.name else [source.name]
    if suffix:
        yield f"{source.name}_{suffix}"
    yield from longer[1:]
    if suffix and len(longer) > 1:
        yield f"{longer[1]}_{suffix}"
    for number in range(2, 10_000):
        yield f"{source.name}-{number}"


def _other_source(folder: Path, name: str, ends: list[str], identity: dict[str, str]) -> str | None:
    """The other source whose results have a file of this name, in words; None if there is none, and the name is then
    reserved for this one."""
    for file in [f"{name}.json", f"{name}_frames.txt", *_files_of(name, ends)]:
        if not (folder / file).exists():
            continue
        owners = _owners(folder, file)
        if not any(_same(owner, identity) for owner in owners):
            return owners[0].get("source", "another source") if owners else "another run"
    reservation = _reservation(folder, name)
    with writing(reservation, REMEDY):
        try:
            with open(reservation, "x", encoding="utf-8") as reserved:
                json.dump(identity, reserved)
        except FileExistsError:  # of a run that is going on, or was killed
            owner = _recorded(reservation)  # None if it was killed, or the disk was full, before it had written it
            return None if owner is None or _same(owner, identity) else owner.get("source", "another run")
    return None


def object_ends(names: Sequence[str]) -> list[str]:
    """How the names of each object's files end: not at all if there is one object only."""
    return [""] if len(names) == 1 else [f"_{name}" for name in names]


def _files_of(name: str, ends: list[str]) -> list[str]:
    """The files of objects whose names end so."""
    return [f"{name}{end}{kind}" for end in ends for kind in (".txt", "_time.txt", "_density.jsonl")]


def _owners(folder: Path, file: str) -> list[dict[str, Any]]:
    """The records of the runs that this file can be of: clip_2_time.txt is one of clip_2_time, of clip_2, or of the
    second object of clip."""
    stem = Path(file).stem
    if file.endswith(".json"):
        candidates = [(stem, several) for several in (False, True)]
    else:
        candidates = [
            candidate
            for name in dict.fromkeys((stem, re.sub("_(time|density|frames)$", "", stem)))
            for candidate in ((name, False), (re.sub(r"_\d+$", "", name), True))
        ]
    records = [(_recorded(folder / f"{name}.json"), several) for name, several in candidates]
    return [record for record, several in records if record and (len(record.get("first_boxes", [])) > 1) == several]


def _reservation(folder: Path, name: str) -> Path:
    return folder / f"{name}.partial.json"


def _recorded(file: Path) -> dict[str, Any] | None:
    """The record of a run, without its frames; None without a readable one."""
    try:
        return RecordFile(file).head
    except (OSError, ValueError, RecursionError):
        return None


def _same(record: dict[str, Any], identity: dict[str, str]) -> bool:
    if "path" in record and "path" in identity:
        return record["path"] == identity["path"]
    return record.get("source") == identity["source"]  # a stream, or results of earlier versions


class _ObjectFiles:
    """The text files of one object while they are written."""

    def __init__(self, path: Path, index: TextLines, density: bool):
        self.path = path
        self._boxes = TextLines(path, index)
        self._times = TextLines(path.with_name(f"{path.stem}_time.txt"), index)
        self._density = DensityLog(density_file(path)) if density else None

    def add(self, index: int, target: Target) -> None:
        self._boxes.add(index, format_box(target.output.box, integer=False))
        self._times.add(index, f"{target.seconds:.6f}\n")
        if self._density and target.output.flag != NOT_STARTED:
            self._density.add(index, target)

    def close(self) -> None:
        self._times.close()
        self._boxes.close()
        if self._density:
            self._density.__exit__(None, None, None)
        else:  # those of an earlier run belong to its boxes
            with writing(density_file(self.path), REMEDY):
                density_file(self.path).unlink(missing_ok=True)
