"""Benchmarks by name."""

import difflib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ltr.common.errors import DatasetError
from pytracking.evaluation.datasets.base import SequenceList, plain_name
from pytracking.evaluation.datasets.folder import EXPECTED, read_folder
from pytracking.evaluation.datasets.generated import read_generated
from pytracking.evaluation.datasets.nfs import read_nfs
from pytracking.evaluation.datasets.otb import read_otb

BENCHMARKS: dict[str, Callable[[str | os.PathLike | None], SequenceList]] = {
    "otb": read_otb,
    "nfs": read_nfs,
    "generated": read_generated,
}
"""The reader of each benchmark: takes the folder given by the user, or None, to its sequences."""


def get_dataset(name: str, root: str | os.PathLike | None = None) -> SequenceList:
    """A benchmark as it lies on disk. A single sequence that cannot be run is listed in ``problems``.

    Args:
        name: a key of :data:`BENCHMARKS`, or the path of a folder in OTB's layout (:mod:`.folder`).
        root: folder of a named benchmark; None for the folder of the environment
            (:func:`ltr.common.environment.get_path`).

    Raises:
        DatasetError: if there is no such benchmark, or nothing in it can be run.
    """
    if name.lower() in BENCHMARKS:
        dataset = BENCHMARKS[name.lower()](root)
    elif Path(name).expanduser().is_dir():
        dataset = read_folder(Path(name).expanduser())
    elif os.sep in name or "/" in name:
        raise DatasetError(f"the data set folder {name} does not exist")
    else:
        near = difflib.get_close_matches(name.lower(), BENCHMARKS, n=1, cutoff=0.5)
        meant = f" (did you mean {near[0]}?)" if near else ""
        known = ", ".join(BENCHMARKS)
        raise DatasetError(
            f"no data set '{name}'{meant}: known are {known}, or give the path of a folder in OTB's layout"
        )
    if dataset.problems and not dataset.sequences:
        reason = next(iter(dataset.problems.values()))
        raise DatasetError(f"none of the {len(dataset.problems)} sequences under {dataset.root} can be run: {reason}")
    if not dataset.sequences:
        raise DatasetError(f"no sequences of {dataset.title} were found under {dataset.root}; {EXPECTED}")
    return dataset


def get_datasets(names: Sequence[str], root: str | os.PathLike | None = None) -> SequenceList:
    """Several benchmarks as one: the sequences of each, in the order of ``names``. A single name gives that benchmark.

    Raises:
        DatasetError: if :func:`get_dataset` raises it, two benchmarks have a sequence of one name (results are files of
            that name), or ``root`` is given with several names.
        ValueError: if ``names`` is empty.
    """
    if not names:
        raise ValueError("no data set is named")
    if len(names) == 1:
        return get_dataset(names[0], root)
    if root is not None:
        raise DatasetError(
            f"--dataset_root goes with one data set, not with {len(names)}; name the folders by --dataset_name"
        )
    parts = tuple(get_dataset(name) for name in names)
    owners: dict[str, SequenceList] = {}
    for part in parts:
        for name in [*(sequence.name for sequence in part), *part.problems]:
            owner = owners.setdefault(plain_name(name).casefold(), part)
            if owner is not part:
                raise DatasetError(
                    f"the sequence {name} is both in {owner.title} under {owner.root} and in {part.title} under "
                    f"{part.root}; rename one of the two, or take one data set at a time"
                )
    return SequenceList(
        " + ".join(part.title for part in parts),
        Path(os.path.commonpath([part.root.resolve() for part in parts])),
        [sequence for part in parts for sequence in part],
        {name: problem for part in parts for name, problem in part.problems.items()},
        parts=parts,
    )
