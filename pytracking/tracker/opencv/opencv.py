"""CSRT and KCF of OpenCV's contributed modules, behind this package's tracker interface."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ltr.common.errors import UserError
from pytracking.tracker.base import BaseTracker, TrackerOutput, check_first_box
from pytracking.tracker.given_image import check_image

#: Parameter name: OpenCV's class.
ALGORITHMS = {"csrt": "TrackerCSRT", "kcf": "TrackerKCF"}


class OpenCVTrackerError(UserError):
    """The algorithm does not exist, or not in the installed OpenCV, or cannot start on the first box."""


@dataclass(frozen=True)
class OpenCVSettings:
    """OpenCV's own defaults, except for one."""

    algorithm: str = "csrt"
    """'csrt' or 'kcf'."""
    kcf_threshold: float = 0.25
    """If the response is below this, the target is lost and KCF stays where it is. OpenCV's own 0.5 gives up so early
    that it falls far behind the published KCF: a mean AUC of 21.2 against 42.0 on 15 sequences of OTB, where 0.25 has
    41.1."""
    opencv: str = cv2.__version__
    """For the record beside results: code and defaults depend on it."""


class OpenCVTracker(BaseTracker):
    """CSRT or KCF on the CPU.

    OpenCV takes and returns whole pixels only. If the algorithm reports that the target is lost, breaks down or returns
    a box outside the image, the last box is repeated with flag 'not_found' and score 0; otherwise the score is 1, since
    OpenCV gives none.

    Raises:
        OpenCVTrackerError: if OpenCV is installed without its contributed modules.
    """

    device = "cpu"

    def __init__(self, settings: OpenCVSettings):
        self._name = settings.algorithm.upper()
        self._create = _constructor(settings)
        self._tracker: Any = None
        self._box = np.zeros(4)

    def initialize(self, image: np.ndarray, box: np.ndarray) -> TrackerOutput:
        """Start on ``box`` (x, y, w, h) in ``image``, uint8 (H, W, 3) RGB.

        Raises:
            UserError: if the image is of another kind, or the box has no area or lies outside the image.
            OpenCVTrackerError: if the box, rounded to whole pixels inside the image, has no area, or is too thin for
                the algorithm.
        """
        image = check_image(image)
        self._box = check_first_box(box, image)
        height, width = image.shape[:2]
        corners = np.round([self._box[:2], self._box[:2] + self._box[2:]])
        (left, top), (right, bottom) = np.clip(corners, 0, [width, height]).astype(int)
        if right <= left or bottom <= top:
            raise OpenCVTrackerError(
                f"the first box {self._box.tolist()} covers no whole pixel of the image of {width} x {height} pixels, "
                "and OpenCV's trackers take whole pixels only"
            )
        self._tracker = None
        tracker = self._create()
        try:
            tracker.init(_bgr(image), (int(left), int(top), int(right - left), int(bottom - top)))
        except cv2.error as error:
            raise OpenCVTrackerError(
                f"OpenCV's {self._name} cannot start on the first box {self._box.tolist()}, {right - left} x "
                f"{bottom - top} whole pixels inside the image of {width} x {height}: it fails on boxes of one pixel "
                "across and on very thin ones; draw a larger box, or use the tracker 'atom ebm'"
            ) from error
        self._tracker = tracker
        return TrackerOutput(self._box.copy(), 1.0)

    def track(self, image: np.ndarray, density: bool = False) -> TrackerOutput:
        """The box in the next image; these trackers have no density."""
        if self._tracker is None:
            raise RuntimeError("initialize the tracker with a first frame and box before it tracks")
        image = check_image(image)
        try:
            found, (x, y, w, h) = self._tracker.update(_bgr(image))
        except cv2.error:
            # Its search region does not fit into the image: a smaller one, or a thin target at the border.
            found, (x, y, w, h) = False, (0, 0, 0, 0)
        if not found or x >= image.shape[1] or y >= image.shape[0] or x + w <= 0 or y + h <= 0:
            return TrackerOutput(self._box.copy(), 0.0, "not_found")
        self._box = np.array((x, y, w, h), np.float64)
        return TrackerOutput(self._box.copy(), 1.0)


def _constructor(settings: OpenCVSettings) -> Callable[[], Any]:
    if settings.algorithm not in ALGORITHMS:
        raise OpenCVTrackerError(f"no OpenCV tracker '{settings.algorithm}' here: there are {', '.join(ALGORITHMS)}")
    algorithm = getattr(cv2, ALGORITHMS[settings.algorithm], None)
    if algorithm is None:
        raise OpenCVTrackerError(
            f"OpenCV {cv2.__version__} is installed without its contributed modules, which have "
            f"{settings.algorithm.upper()}: pip install 'ebm-regression[compare]'"
        )
    if settings.algorithm == "csrt":
        return algorithm.create
    parameters = cv2.TrackerKCF_Params()  # type: ignore[attr-defined]  # in the contributed modules
    parameters.detect_thresh = settings.kcf_threshold
    return lambda: algorithm.create(parameters)


def _bgr(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
