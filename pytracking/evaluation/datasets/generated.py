"""The generated benchmark: ten drawn sequences with exact ground truth, see :mod:`ltr.dataset.generated`."""

import os
from pathlib import Path

from ltr.common.environment import get_path
from pytracking.evaluation.datasets.base import SequenceList
from pytracking.evaluation.datasets.folder import read_folder


def read_generated(root: str | os.PathLike | None) -> SequenceList:
    """The generated benchmark under ``root`` (by default {workspace}/generated_benchmark), drawn on first use."""
    from ltr.dataset.generated import write_benchmark  # its libraries for drawing load slowly

    folder = Path(root) if root else get_path("workspace") / "generated_benchmark"
    write_benchmark(folder, seed=0)
    return read_folder(folder, "generated")
