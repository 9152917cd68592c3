"""What every benchmark is made of: targets in videos (`TrackingSequence`), and a list of them (`SequenceList`)."""

import difflib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ltr.common.errors import DatasetError
from ltr.common.listing import some
from pytracking.evaluation.datasets.image_files import compact


@dataclass(frozen=True, eq=False)
class TrackingSequence:
    """One target in one video.

    Attributes:
        name: unique within the benchmark; names the result file.
        frames: the N image files, in order; kept by their names where they lie in one folder.
        ground_truth: (N, 4) float64, x, y, w, h as annotated. Lines without a target may be NaN or zero, except the
            first.
        dataset: name of the benchmark.
        origin: coordinate of the first pixel in the annotation: 1.0 for OTB, which was annotated in MATLAB, else 0.0. A
            tracker counts from 0, see :attr:`first_box`; results are written as annotated.
        attributes: what is hard about the sequence (OCC, ...), if that is known.
        visible: (N,) bool, False where the benchmark says that the target is covered or out of view, whatever its box;
            None if it does not say.
        scoring: the benchmark by whose rule the boxes are scored, a key of `pytracking.analysis.rules.RULES`.
        image_size: width and height of the images in pixels, if the benchmark states them.
        scored_by: who keeps the annotation, such as a server, if only the first box is published.
    """

    name: str
    frames: Sequence[Path]
    ground_truth: np.ndarray
    dataset: str
    origin: float = 0.0
    attributes: tuple[str, ...] = ()
    visible: np.ndarray | None = None
    scoring: str = "otb"
    image_size: tuple[int, int] | None = None
    scored_by: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", compact(self.frames))

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def first_box(self) -> np.ndarray:
        """(4,) float64: the box for the tracker to start from, pixels counted from 0."""
        return self.to_tracker(self.ground_truth[0])

    def to_tracker(self, boxes: np.ndarray) -> np.ndarray:
        """(..., 4) boxes from the annotation's coordinates to the tracker's, whose first pixel is 0."""
        return np.asarray(boxes, np.float64) - [self.origin, self.origin, 0, 0]

    def to_annotation(self, boxes: np.ndarray) -> np.ndarray:
        """(..., 4) boxes from the tracker's coordinates to the annotation's: the inverse of :meth:`to_tracker`."""
        return np.asarray(boxes, np.float64) + [self.origin, self.origin, 0, 0]

    def __repr__(self) -> str:
        return f"TrackingSequence({self.name!r}, {len(self)} frames, {self.dataset!r})"


@dataclass
class SequenceList:
    """The sequences of a benchmark that are on disk, by index or by name.

    Attributes:
        title: name of the benchmark, for people.
        root: its folder; for several benchmarks in one, the folder that holds all of theirs.
        sequences: those that can be run.
        problems: those that are on disk but cannot be run, by name, each with the reason.
        expected: number of sequences of the whole benchmark, if that is known.
        parts: the single benchmarks, if this list joins several (:func:`get_dataset`).
        layout: how the files were taken to lie, and where pixels count from, if that was recognised and not given.
        looked_for: what a sequence looks like on disk, for the message if there is none.
    """

    title: str
    root: Path
    sequences: list[TrackingSequence]
    problems: dict[str, DatasetError] = field(default_factory=dict)
    expected: int | None = None
    parts: tuple["SequenceList", ...] = ()
    layout: str = ""
    looked_for: str = ""

    def __len__(self) -> int:
        return len(self.sequences)

    def __iter__(self) -> Iterator[TrackingSequence]:
        return iter(self.sequences)

    def __getitem__(self, key: int | str) -> TrackingSequence:
        """A sequence by index or by name.

        If no name is exactly this one, '-' and '_' in names are alike (PyTracking writes Jogging_1). An index may be
        written as a string.

        Raises:
            DatasetError: if there is no such sequence (the message names the nearest), several are meant, or it cannot
                be run.
        """
        if isinstance(key, int):
            return self.sequences[key]
        wanted = plain_name(key)
        names = [*(sequence.name for sequence in self.sequences), *self.problems]
        alike = [name for name in names if name == key] or [name for name in names if plain_name(name) == wanted]
        if len(alike) > 1:
            raise DatasetError(f"'{key}' can be {' or '.join(alike)} of {self.title}; write the one that you mean")
        if alike and alike[0] in self.problems:
            raise self.problems[alike[0]]
        if alike:
            return next(sequence for sequence in self.sequences if sequence.name == alike[0])
        if key.isdecimal():
            if int(key) < len(self):
                return self.sequences[int(key)]
            raise DatasetError(f"no sequence {key} in {self.title}: it has {len(self)}, numbered from 0")
        lower = {plain_name(sequence.name).lower(): sequence.name for sequence in self.sequences}
        near = [lower[name] for name in difflib.get_close_matches(wanted.lower(), lower, n=3)]
        listed = f"did you mean {' or '.join(near)}?" if near else f"it has {some([each.name for each in self], 8)}"
        raise DatasetError(f"no sequence '{key}' in {self.title} under {self.root}; {listed}")

    def select(self, names: Iterable[str]) -> list[TrackingSequence]:
        """The sequences of these names or indices, each once, in the order of ``names``.

        Raises:
            DatasetError: if there is no such sequence, or it cannot be run.
        """
        chosen = [self[name] for name in names]
        return list({sequence.name: sequence for sequence in chosen}.values())

    def summary(self) -> str:
        """What is on disk, such as 'OTB-100: 15 of 100 targets found under /data/otb'; a line for each benchmark.

        It says which layout was recognised, and who scores a benchmark whose annotation is not published.
        """
        if self.parts:
            return "\n".join(part.summary() for part in self.parts)
        count = f"{len(self)} of {self.expected} targets" if self.expected else f"{len(self)} targets"
        unusable = f", {len(self.problems)} more cannot be run" if self.problems else ""
        layout = f" ({self.layout})" if self.layout else ""
        servers = dict.fromkeys(sequence.scored_by for sequence in self if sequence.scored_by)
        scored = f"; the annotation after the first box is kept by {' and '.join(servers)}" if servers else ""
        return f"{self.title}: {count} found under {self.root}{layout}{unusable}{scored}"


def read_all(
    title: str,
    root: Path,
    readers: Mapping[str, Callable[[], TrackingSequence]],
    expected: int | None = None,
    looked_for: str = "",
) -> SequenceList:
    """Calls the reader of each sequence. Those that raise DatasetError are listed in ``problems``.

    So are those of which a folder or file cannot be read, and those whose results would be files of another sequence.
    """
    dataset = SequenceList(title, root, [], expected=expected, looked_for=looked_for)
    clashes = clashing_names(readers)
    for name, read in readers.items():
        try:
            if name in clashes:
                raise DatasetError(f"sequence {name}: {clashes[name]}")
            dataset.sequences.append(read())
        except DatasetError as problem:
            dataset.problems[name] = problem
        except OSError as error:  # the folder itself: readers say more of their files
            where = error.filename or root
            dataset.problems[name] = DatasetError(f"sequence {name}: {where} cannot be read: {error.strerror or error}")
    return dataset


def clashing_names(names: Iterable[str]) -> dict[str, str]:
    """By name, why a sequence cannot be run beside the others: a file of its results would have the name of one of
    theirs."""
    known = set(names)
    return {
        name: f"its results would be in a file of the results of {name.removesuffix(end)}; rename one of the two"
        for name in known
        for end in RESULT_ENDS
        if name.endswith(end) and name.removesuffix(end) in known
    }


RESULT_ENDS = ("_time", ".partial")
"""What follows the name of a sequence in the text files of its results, besides the boxes."""


def plain_name(name: str) -> str:
    """The name of a sequence with every separator spelled '-', and accents as one letter (macOS writes two)."""
    return unicodedata.normalize("NFC", name).replace("_", "-").replace(".", "-")
