"""Benchmarks by name."""

import difflib
import os
from collections.abc import Callable
from pathlib import Path

from ltr.common.errors import DatasetError
from pytracking.evaluation.datasets.base import SequenceList, clashing_names, plain_name
from pytracking.evaluation.datasets.dtb70 import read_dtb70
from pytracking.evaluation.datasets.generated import read_generated
from pytracking.evaluation.datasets.got10k import read_got10k_test, read_got10k_val
from pytracking.evaluation.datasets.lasot import read_lasot, read_lasot_extension_subset
from pytracking.evaluation.datasets.layouts import read_own_folder
from pytracking.evaluation.datasets.nfs import read_nfs
from pytracking.evaluation.datasets.otb import read_otb
from pytracking.evaluation.datasets.tcolor128 import read_tpl, read_tpl_nootb
from pytracking.evaluation.datasets.trackingnet import read_trackingnet
from pytracking.evaluation.datasets.uav import read_uav, read_uav123_10fps
from pytracking.evaluation.datasets.vot import read_vot

BENCHMARKS: dict[str, Callable[[str | os.PathLike | None], SequenceList]] = {
    "otb": read_otb,
    "nfs": read_nfs,
    "uav": read_uav,
    "uav123_10fps": read_uav123_10fps,
    "lasot": read_lasot,
    "lasot_extension_subset": read_lasot_extension_subset,
    "got10k_val": read_got10k_val,
    "got10k_test": read_got10k_test,
    "trackingnet": read_trackingnet,
    "tpl": read_tpl,
    "tpl_nootb": read_tpl_nootb,
    "dtb70": read_dtb70,
    "vot": read_vot,
    "generated": read_generated,
}
"""The reader of each benchmark, by PyTracking's name where it has one: takes the folder given by the user, or None, to
its sequences."""

ALIASES = {
    "otb100": "otb", "otb2015": "otb", "nfs30": "nfs", "uav123": "uav", "uav10fps": "uav123_10fps",
    "lasot_ext": "lasot_extension_subset", "lasot_extension": "lasot_extension_subset", "tc128": "tpl",
    "tcolor128": "tpl",
}  # fmt: skip
"""Other names of benchmarks."""


def benchmark_name(name: str) -> str | None:
    """The key of :data:`BENCHMARKS` that a name means, in any case; None if it names no benchmark."""
    lower = name.lower()
    return lower if lower in BENCHMARKS else ALIASES.get(lower)


def get_dataset(
    *names: str | os.PathLike, root: str | os.PathLike | None = None, origin: float | None = None
) -> SequenceList:
    """A benchmark as it lies on disk, or several as one: get_dataset('otb', 'nfs').

    A sequence that cannot be run is listed in ``problems``.

    Args:
        names: each a key of :data:`BENCHMARKS` or of :data:`ALIASES`, or the path of a folder of sequences, whose
            layout is recognised (:mod:`.layouts`). Each counts once; their sequences come in this order.
        root: folder of a single benchmark; None for the folder of the environment
            (:func:`ltr.common.environment.get_path`).
        origin: coordinate of the first pixel in the annotation of the folders among the names; None for their layout's.

    Raises:
        DatasetError: if there is no such benchmark, nothing in it can be run, two benchmarks have a sequence of one
            name (results are files of that name), ``root`` is given with several names, or ``origin`` without a folder.
        ValueError: if there is no name.
    """
    if not names:
        raise ValueError("no data set is named")
    texts = list(dict.fromkeys(benchmark_name(os.fspath(name)) or os.fspath(name) for name in names))
    if len(texts) == 1:
        return _read(texts[0], root, origin)
    if root is not None:
        raise DatasetError(
            f"--dataset_root goes with one data set, not with {len(texts)}; name the folders by --dataset_name"
        )
    if origin is not None and all(map(benchmark_name, texts)):
        raise DatasetError("--origin goes with folders of your own; those of the benchmarks are known")
    parts = tuple(_read(name, None, None if benchmark_name(name) else origin) for name in texts)
    owners: dict[str, SequenceList] = {}
    for part in parts:
        for name in [*_names(part), *part.problems]:
            owner = owners.setdefault(plain_name(name).casefold(), part)
            if owner is not part:
                raise DatasetError(
                    f"the sequence {name} is both in {owner.title} under {owner.root} and in {part.title} under "
                    f"{part.root}; rename one of the two, or take one data set at a time"
                )
    for name, clash in clashing_names([name for part in parts for name in [*_names(part), *part.problems]]).items():
        if not any(name in part.problems for part in parts):
            raise DatasetError(f"sequence {name}: {clash}, or take one data set at a time")
    return SequenceList(
        " + ".join(part.title for part in parts),
        Path(os.path.commonpath([part.root.resolve() for part in parts])),
        [sequence for part in parts for sequence in part],
        {name: problem for part in parts for name, problem in part.problems.items()},
        parts=parts,
    )


def _read(name: str, root: str | os.PathLike | None, origin: float | None) -> SequenceList:
    """One benchmark, or the folder of one's own."""
    benchmark = benchmark_name(name)
    if benchmark is not None:
        if origin is not None:
            raise DatasetError(f"--origin goes with a folder of your own; that of {benchmark} is known")
        dataset = BENCHMARKS[benchmark](root)
    elif Path(name).expanduser().is_dir():
        dataset = read_own_folder(Path(name).expanduser(), origin)
    elif os.sep in name or "/" in name:
        raise DatasetError(f"the data set folder {name} does not exist")
    else:
        lower = name.lower()
        near = [known for known in BENCHMARKS if known.startswith(f"{lower}_") or lower.startswith(known)]
        near = near or difflib.get_close_matches(lower, [*BENCHMARKS, *ALIASES], n=1, cutoff=0.5)
        meant = f" (did you mean {' or '.join(near)}?)" if near else ""
        known = ", ".join(BENCHMARKS)
        raise DatasetError(f"no data set '{name}'{meant}: known are {known}, or give the path of a folder of sequences")
    if dataset.problems and not dataset.sequences:
        reason = next(iter(dataset.problems.values()))
        raise DatasetError(f"none of the {len(dataset.problems)} sequences under {dataset.root} can be run: {reason}")
    if not dataset.sequences:
        raise DatasetError(f"no sequences of {dataset.title} were found under {dataset.root}; {dataset.looked_for}")
    return dataset


def _names(part: SequenceList) -> list[str]:
    return [sequence.name for sequence in part]
