"""Replaces OpenCV's windows: presses keys and draws boxes as a test says."""

import cv2
import numpy as np


class FakeWindow:
    """What was shown is in `shown` (RGB), what is open in `open`.

    Args:
        keys: pressed one after another, each while the window waits; -1 is no key, None closes the window. After them
            no key is pressed any more.
        boxes: drawn one after another; then Enter is pressed without one.
    """

    def __init__(self, monkeypatch, keys=(), boxes=()):
        self.keys, self.boxes = list(keys), list(boxes)
        self.shown, self.open, self.waits = [], set(), []
        self._closed = False
        for name in ("namedWindow", "resizeWindow", "imshow", "waitKeyEx", "waitKey", "getWindowProperty"):
            monkeypatch.setattr(cv2, name, getattr(self, name))
        monkeypatch.setattr(cv2, "destroyWindow", self.open.discard)
        monkeypatch.setattr(cv2, "selectROI", self.selectROI)
        monkeypatch.setattr("pytracking.view.window.why_no_window", lambda: None)
        monkeypatch.setattr("pytracking.evaluation.video_run.why_no_window", lambda: None)
        monkeypatch.setattr("pytracking.analysis.playback.why_no_window", lambda: None)

    def namedWindow(self, title, flags=0):  # noqa: N802
        self.open.add(title)

    def resizeWindow(self, title, width, height):  # noqa: N802
        assert title in self.open

    def imshow(self, title, image):
        assert title in self.open
        self.shown.append(np.ascontiguousarray(image[..., ::-1]))

    def waitKeyEx(self, milliseconds):  # noqa: N802
        self.waits.append(milliseconds)
        assert len(self.waits) < 1000, "it waits for a key for ever"
        key = self.keys.pop(0) if self.keys else -1
        self._closed |= key is None
        return -1 if key is None else key

    def waitKey(self, milliseconds):  # noqa: N802
        return -1

    def getWindowProperty(self, title, what):  # noqa: N802
        assert what == cv2.WND_PROP_VISIBLE
        return 0.0 if self._closed else 1.0

    def selectROI(self, title, image, **options):  # noqa: N802
        assert title in self.open
        self.shown.append(np.ascontiguousarray(image[..., ::-1]))
        return self.boxes.pop(0) if self.boxes else (0, 0, 0, 0)
