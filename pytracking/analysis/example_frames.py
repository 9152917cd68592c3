"""Example frames of a report: the sequences where the trackers differ most, with every tracker's box."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib.colors import to_rgb

from ltr.common.errors import UserError
from ltr.common.images import read_image
from pytracking.analysis.box_files import GroundTruth
from pytracking.analysis.line_styles import line_styles
from pytracking.analysis.score_report import Report
from pytracking.evaluation.datasets import TrackingSequence
from pytracking.utils.drawing import GROUND_TRUTH, Colour, draw_box, enlarge

_FRAMES = 4  # of a sequence, evenly spaced from the first to the last
_WIDTH = 420  # pixels
_QUALITY = 80


@dataclass(frozen=True)
class Pick:
    """A selected sequence.

    Attributes:
        sequence: its name.
        auc: of the leading tracker, in [0, 1].
        rival: name of the best other tracker on this sequence; None in a report of one tracker.
        margin: the leader's AUC minus the rival's; None without a rival.
    """

    sequence: str
    auc: float
    rival: str | None
    margin: float | None


def pick_sequences(report: Report, count: int = 3) -> tuple[list[Pick], list[Pick]]:
    """Select the sequences where the tracker with the highest AUC does best, and those where it does worst.

    With several trackers, 'best' means furthest ahead of the best other tracker, and 'worst' furthest behind; with one
    tracker, the highest and the lowest AUC.

    Returns:
        Best and worst, the extreme first; at most `count` of each, and no sequence in both.
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
    """Draw frames of a sequence: the ground truth in white, and every tracker's box in the colour of its line in the
    plots. Of merged runs, the first is drawn.

    Returns:
        The number of each frame, from 1, and the frame as JPEG.

    Raises:
        UserError: if the ground truth has no images, or an image or a result cannot be read; the message says which.
    """
    if not isinstance(sequence, TrackingSequence) or not sequence.frames:
        raise UserError("the ground truth has no images")
    paths = sequence.frames
    styles = line_styles(report)
    # The best is drawn last, on top.
    boxes = {tracker.name: tracker.boxes[sequence.name] for tracker in reversed(report.sorted("auc").trackers)}
    colours = {name: _rgb(style["color"]) for name, style in styles.items()}
    drawn = []
    for index in np.unique(np.linspace(0, len(paths) - 1, _FRAMES).round().astype(int)):
        image = read_image(paths[index])
        scale = _WIDTH / image.shape[1]
        image = enlarge(image, scale)
        shown = [(sequence.ground_truth[index], GROUND_TRUTH, 6)]  # wider, so that no box hides it
        shown += [(of[index], colours[name], 2) for name, of in boxes.items() if index < len(of)]
        for box, colour, width in shown:
            if (box[2:] > 0).all():  # otherwise the target was absent, or not found
                draw_box(image, sequence.to_tracker(box), colour, width, scale)
        drawn.append((int(index) + 1, _jpeg(image)))
    return drawn


def _rgb(colour: str) -> Colour:
    red, green, blue = (round(255 * value) for value in to_rgb(colour))
    return red, green, blue


def _jpeg(image: np.ndarray) -> bytes:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise RuntimeError("OpenCV cannot write JPEG")
    return data.tobytes()
