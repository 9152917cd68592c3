"""Which sequences of a report are worth a look, and frames of them with every tracker's box."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib.colors import to_rgb

from ltr.common.errors import UserError
from ltr.common.images import read_image
from pytracking.analysis.line_styles import line_styles
from pytracking.analysis.result_files import GroundTruth, match_files, read_boxes
from pytracking.analysis.score_report import Report
from pytracking.utils.drawing import GROUND_TRUTH, draw_box, enlarge

_FRAMES = 4  # of a strip, evenly spaced, the first and the last among them
_WIDTH = 420  # pixels
_QUALITY = 80


@dataclass(frozen=True)
class Pick:
    """A sequence chosen for a look.

    `auc` is the leading tracker's, in [0, 1]; `rival` the best of the others there, by name, and `margin` how far the
    leader is ahead of it (negative: behind). Both are None in a report of one tracker.
    """

    sequence: str
    auc: float
    rival: str | None
    margin: float | None


def pick_sequences(report: Report, count: int = 3) -> tuple[list[Pick], list[Pick]]:
    """The sequences where the tracker of the highest AUC does best, and those where it does worst, the extreme first.

    Of several trackers, 'best' is furthest ahead of the best of the others, and 'worst' furthest behind; of one
    tracker, the highest and the lowest AUC. At most `count` of each, and no sequence in both.
    """
    leader, *others = report.sorted("auc").trackers
    picks = []
    for name in report.sequences:
        auc = leader.sequences[name].curves.auc
        rival = max(others, key=lambda tracker: tracker.sequences[name].curves.auc, default=None)
        margin = None if rival is None else auc - rival.sequences[name].curves.auc
        picks.append(Pick(name, auc, None if rival is None else rival.name, margin))
    picks.sort(key=lambda pick: pick.auc if pick.margin is None else pick.margin, reverse=True)
    best = picks[: min(count, (len(picks) + 1) // 2)]
    worst = picks[len(best) :][-count:]
    return best, worst[::-1]


def draw_example_frames(report: Report, sequence: GroundTruth) -> list[tuple[int, bytes]]:
    """Frames of a sequence as JPEG, each with its number in the sequence (from 1): the ground truth in white, and every
    tracker's box in the colour of its line in the plots. Of merged runs, the first is shown.

    Raises:
        UserError: the ground truth has no images, or an image or a result cannot be read; the message says which.
    """
    paths = getattr(sequence, "frames", None)
    if not paths:
        raise UserError("the ground truth has no images")
    styles = line_styles(report)
    # The best is drawn last, on top.
    boxes = {
        tracker.name: read_boxes(match_files(tracker.folders[0], [sequence.name])[sequence.name])
        for tracker in reversed(report.sorted("auc").trackers)
    }
    colours = {name: tuple(round(255 * value) for value in to_rgb(style["color"])) for name, style in styles.items()}
    strip = []
    for index in np.unique(np.linspace(0, len(paths) - 1, _FRAMES).round().astype(int)):
        image = read_image(paths[index])
        scale = _WIDTH / image.shape[1]
        image = enlarge(image, scale)
        shown = [(sequence.ground_truth[index], GROUND_TRUTH, 6)]  # wider than a box that hides it
        shown += [(of[index], colours[name], 2) for name, of in boxes.items() if index < len(of)]
        for box, colour, width in shown:
            if (box[2:] > 0).all():  # else the target was absent, or not found
                draw_box(image, sequence.to_tracker(box), colour, width, scale)
        strip.append((int(index) + 1, _jpeg(image)))
    return strip


def _jpeg(image: np.ndarray) -> bytes:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise RuntimeError("OpenCV cannot write JPEG")
    return data.tobytes()
