"""A video of a tracker's run over a sequence, with its boxes and the annotated ones."""

from pathlib import Path

import numpy as np

from pytracking.utils.drawing import BOX, GROUND_TRUTH, draw_box, draw_label, enlarge
from pytracking.utils.video_writer import VideoWriter

HEIGHT = 480  # pixels: smaller frames are enlarged to about this


class DebugVideo:
    """Writes frames with boxes drawn on them to an .mp4 file. To be used in a ``with`` statement.

    What was added before a failure is kept: its last frames are the ones to look at.

    Raises UserError where the file cannot be written.
    """

    def __init__(self, path: Path):
        self._video = VideoWriter(path)

    def __enter__(self) -> "DebugVideo":
        return self

    def __exit__(self, *exception) -> None:
        self._video.close()

    def add(self, image: np.ndarray, box: np.ndarray, truth: np.ndarray | None, caption: str) -> None:
        """Adds a frame: ``image`` uint8 (H, W, 3) RGB, ``box`` and ``truth`` (x, y, w, h) with pixels from 0."""
        scale = max(1, round(HEIGHT / image.shape[0]))
        frame = enlarge(image, scale)
        if truth is not None:
            draw_box(frame, truth, GROUND_TRUTH, 4, scale)
        draw_box(frame, box, BOX, 2, scale)
        draw_label(frame, caption, size=15)
        self._video.add(frame)
