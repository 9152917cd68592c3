"""A folder of one's own: the benchmark whose layout it has as a whole, else a folder of sequences (:mod:`.folder`)."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pytracking.evaluation.datasets.base import SequenceList
from pytracking.evaluation.datasets.files import subfolders
from pytracking.evaluation.datasets.folder import read_folder
from pytracking.evaluation.datasets.nfs import read_nfs
from pytracking.evaluation.datasets.tcolor128 import find_annotation, read_tpl
from pytracking.evaluation.datasets.trackingnet import read_trackingnet_folder
from pytracking.evaluation.datasets.uav import read_uav, read_uav123_10fps
from pytracking.evaluation.datasets.vot import read_vot


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda root: all((root / name).is_dir() for name in names)


def _is_nfs(root: Path) -> bool:
    return any(os.path.isdir(folder / "30" / folder.name) for folder in subfolders(root))


def _is_tpl(root: Path) -> bool:
    return any(find_annotation(folder) for folder in subfolders(root))


def _read_trackingnet(root: Path) -> SequenceList:
    return read_trackingnet_folder(root, root.resolve().name)


#: By name, the layouts of whole benchmarks: how one is recognised, and who reads it.
SET_LAYOUTS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], SequenceList]]] = {
    "UAV123 (data_seq/UAV123/, anno/UAV123/)": (_has("data_seq/UAV123", "anno/UAV123"), read_uav),
    "UAV123_10fps (data_seq/UAV123_10fps/, anno/UAV123_10fps/)": (
        _has("data_seq/UAV123_10fps", "anno/UAV123_10fps"),
        read_uav123_10fps,
    ),
    "TrackingNet (frames/, anno/)": (_has("frames", "anno"), _read_trackingnet),
    "NFS (sequences/ and anno/, or NAME/30/NAME/)": (
        lambda root: _has("sequences", "anno")(root) or _is_nfs(root),
        read_nfs,
    ),
    "a VOT workspace (sequences/)": (_has("sequences"), read_vot),
    "TColor-128 (NAME/NAME_gt.txt)": (_is_tpl, read_tpl),
}


def read_own_folder(root: Path, origin: float | None = None) -> SequenceList:
    """The sequences of a folder in any layout that is known. ``layout`` says which was taken.

    Args:
        root: the folder.
        origin: coordinate of the first pixel in its annotation; None for the layout's.
    """
    for name, (recognises, read) in SET_LAYOUTS.items():
        if recognises(root):
            dataset = read(root)
            origins = sorted({sequence.origin for sequence in dataset})
            dataset.layout = f"the layout of {name}, pixels from {' and '.join(f'{each:g}' for each in origins)}"
            break
    else:
        dataset = read_folder(root)
        dataset.looked_for += f"; whole sets: {', '.join(SET_LAYOUTS)}"
    if origin is not None:
        dataset.sequences = [replace(sequence, origin=origin) for sequence in dataset.sequences]
        dataset.layout = f"{dataset.layout.partition(', pixels from')[0]}, pixels from {origin:g} as given"
    return dataset
