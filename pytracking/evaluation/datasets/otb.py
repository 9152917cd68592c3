"""OTB-100: the targets of Wu, Lim and Yang's benchmark (PAMI 2015) that are on disk, in the layout of `folder.py`.

Images and annotation lines are matched by the **frame numbers in the file names**, since copies differ: David, for
example, is annotated from frame 300 to 770, and is found with all its 770 images as well as with only those 471.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ltr.common.environment import get_path
from pytracking.evaluation.datasets.base import SequenceList, TrackingSequence, read_all
from pytracking.evaluation.datasets.files import subfolders
from pytracking.evaluation.datasets.folder import find_targets, read_target
from pytracking.evaluation.datasets.otb_frames import OTB_LENGTHS

LOOKED_FOR = "expected Deer/img/0001.jpg, ... and Deer/groundtruth_rect.txt, ..."


def read_otb(root: str | os.PathLike | None) -> SequenceList:
    """The targets of OTB-100 under ``root``, each on exactly the benchmark's frames."""
    root = get_path("otb", root)
    folders = {folder.name: folder for folder in subfolders(root)}
    sequences: dict[str, Callable[[], TrackingSequence]] = {}
    for name in OTB_LENGTHS:
        base, _, target = name.partition("-")
        if target and name in folders:  # some mirrors have a folder for each target
            sequences[name] = partial(_read_sequence, name, folders[name], None)
        elif base in folders:
            sequences[name] = partial(_read_sequence, name, folders[base], target)
    return read_all("OTB-100", root, sequences, expected=len(OTB_LENGTHS), looked_for=LOOKED_FOR)


def _read_sequence(name: str, folder: Path, target: str | None) -> TrackingSequence:
    """A target of a folder: None for its only one, '' for the one without a number."""
    targets = find_targets(folder)
    file = next(iter(targets.values()), None) if target is None else targets.get(target or None)
    return read_target(name, folder, file, "otb", strict=True)
