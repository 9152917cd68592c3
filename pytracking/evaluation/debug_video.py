"""A video of a tracker's run over a sequence, with its boxes and the annotated ones."""

from pathlib import Path

import cv2
import numpy as np

from ebm_common.errors import UserError

TRACKER_COLOUR, TRUTH_COLOUR = (255, 140, 0), (0, 200, 0)  # RGB
FRAMES_PER_SECOND = 25


class DebugVideo:
    """Writes frames with boxes drawn on them to an .mp4 file. To be used in a ``with`` statement.

    Raises UserError where the file cannot be written.
    """

    def __init__(self, path: Path):
        self._path = path
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def __enter__(self) -> "DebugVideo":
        return self

    def __exit__(self, *exception) -> None:
        if self._writer is not None:
            self._writer.release()

    def add(self, image: np.ndarray, box: np.ndarray, truth: np.ndarray | None, caption: str) -> None:
        """Adds a frame: ``image`` uint8 (H, W, 3) RGB, ``box`` and ``truth`` (x, y, w, h) with pixels from 0."""
        if self._writer is None:
            self._size = (image.shape[1], image.shape[0])
            self._writer = cv2.VideoWriter(
                str(self._path), cv2.VideoWriter.fourcc(*"mp4v"), FRAMES_PER_SECOND, self._size
            )
            if not self._writer.isOpened():
                raise UserError(f"the video {self._path} cannot be written")
        frame = image.copy()
        if truth is not None and np.isfinite(truth).all():
            _draw(frame, truth, TRUTH_COLOUR)
        _draw(frame, box, TRACKER_COLOUR)
        frame[:22] = frame[:22] // 3  # so that white letters can be read on any image
        cv2.putText(frame, caption, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        if (frame.shape[1], frame.shape[0]) != self._size:  # a video has one size, a folder of images need not
            frame = cv2.resize(frame, self._size)
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))


def _draw(frame: np.ndarray, box: np.ndarray, colour: tuple[int, int, int]) -> None:
    x, y, w, h = np.clip(box, -1e4, 1e4)
    cv2.rectangle(frame, (round(x), round(y)), (round(x + w), round(y + h)), colour, 2, cv2.LINE_AA)
