"""Tiny frames for miniature copies of each data set's folders."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ltr.common.images import write_image


@pytest.fixture
def write_frames() -> Callable[[Path, list[str]], None]:
    """Write small images; all pixels of the k-th are 10 k, so that a frame can be recognised."""

    def write(folder: Path, names: list[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for k, name in enumerate(names):
            write_image(folder / name, np.full((24, 32, 3), 10 * k, np.uint8))

    return write


@pytest.fixture
def frame_number() -> Callable[[np.ndarray], int]:
    """Which of the images of `write_frames` this is."""
    return lambda image: round(float(image.mean()) / 10)
