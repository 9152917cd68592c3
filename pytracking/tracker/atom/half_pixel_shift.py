"""Whether a network needs the half pixel by which PyTracking's tracker corrects its training's boxes."""

import multiprocessing
import sys
from functools import lru_cache
from pathlib import Path

from tqdm import tqdm

from ltr.models.bbreg import trained_by_pytracking


@lru_cache(maxsize=16)
def half_pixel_shift(file: Path, written: int) -> bool:
    """Whether the network in `file` was trained by PyTracking. The first answer that it was is a line on stderr.

    Args:
        file: of the network.
        written: its modification time, which keeps the cache from answering for an older content.

    Raises:
        UserError: if the file cannot be read.
    """
    shift = trained_by_pytracking(file)
    if shift and multiprocessing.parent_process() is None:  # a parent of many workers says it for all
        tqdm.write(
            f"note: {file} was trained by PyTracking, so half_pixel_shift is on; --half_pixel_shift False turns it off",
            file=sys.stderr,
        )
    return shift
