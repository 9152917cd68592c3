"""What all sources of frames have in common: videos, streams, cameras, folders of images."""

from __future__ import annotations

import sys
from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from tqdm import tqdm

from ltr.common.errors import UserError
from ltr.common.secrets_in_text import without_secrets

DEFAULT_FPS = 25.0  # of what does not say its rate


class VideoError(UserError):
    """A video that cannot be read or written."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a source.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        time: seconds from the beginning of the source at which it is shown, always later than the last; None without a
            clock, as in a folder of images.
        index: its position in the source, from 0. Frames that cannot be read are skipped, but counted.
    """

    image: np.ndarray
    time: float | None
    index: int


class FrameSource(Protocol):
    """A source of frames: ``for frame in source``. Its string is its file, folder or address.

    Attributes:
        name: short, without folder and suffix.
        fps: frames per second; 25 if the source does not say.
        total: number of frames that the source announces; None if it does not.
        live: True if frames that are not taken in time are lost; otherwise they wait.
    """

    name: str
    fps: float
    total: int | None

    @property
    def live(self) -> bool: ...

    def __iter__(self) -> Generator[Frame, None, None]: ...

    def close(self) -> None:
        """Release the file, stream or camera."""


def warn(text: str) -> None:
    """Print one line on standard error, above a progress bar if there is one."""
    tqdm.write(f"warning: {text}", file=sys.stderr)


def reason_of(error: Exception) -> str:
    """What the system or FFmpeg says about a failure, without passwords."""
    return without_secrets(getattr(error, "strerror", None) or str(error) or type(error).__name__)
