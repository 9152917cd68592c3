"""The measures of benchmarks that do not use OTB's: GOT-10k's AO and SR, and TrackingNet's areas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pytracking.analysis.metrics import OVERLAP_THRESHOLDS, SequenceScore, overlap, valid_frames


class Measured(NamedTuple):
    """A benchmark's own measures of one sequence.

    Attributes:
        values: by key of the columns, as rates in [0, 1].
        weight: of this sequence in the mean over sequences.
    """

    values: Mapping[str, float]
    weight: float


@dataclass(frozen=True)
class Official:
    """The measures of a benchmark.

    Attributes:
        columns: the heading of each.
        explanation: what they are, a sentence.
        measure: takes a tracker's boxes (M, 4), the annotation (N, 4), whether the target is visible (N,) or None, and
            the images' width and height or None.
    """

    columns: dict[str, str]
    explanation: str
    measure: Callable[[np.ndarray, np.ndarray, np.ndarray | None, tuple[int, int] | None], Measured]


def got10k_measures(
    pred: np.ndarray, gt: np.ndarray, visible: np.ndarray | None = None, image_size: tuple[int, int] | None = None
) -> Measured:
    """Average overlap and success rates of GOT-10k, as its toolkit computes them.

    The first frame and those without a visible target are left out, boxes are clipped to the image, and frames of all
    sequences have the same weight.

    Args:
        pred: (M, 4); missing boxes overlap nothing.
        gt: (N, 4).
        visible: (N,) bool; None for the frames with a box.
        image_size: width and height in pixels; None to clip nothing.
    """
    count = len(gt)
    pred = np.concatenate([pred[:count], np.zeros((max(count - len(pred), 0), 4))])
    used = (valid_frames(gt) if visible is None else np.asarray(visible, bool)).copy()
    used[0] = False
    if not used.any():
        return Measured({"ao": 0.0, "sr50": 0.0, "sr75": 0.0}, 0.0)
    pred, truth = (_clipped(np.nan_to_num(boxes[used]), image_size) for boxes in (pred, gt))
    iou = overlap(pred, truth)
    values = {"ao": iou.mean(), "sr50": (iou > 0.5).mean(), "sr75": (iou > 0.75).mean()}
    return Measured({key: float(value) for key, value in values.items()}, float(used.sum()))


def _clipped(boxes: np.ndarray, image_size: tuple[int, int] | None) -> np.ndarray:
    """As the toolkit clips: a corner outside moves to the border, and the size stays where it fits."""
    if image_size is None:
        return boxes
    corner = np.clip(boxes[:, :2], 0, image_size)
    return np.concatenate([corner, np.clip(boxes[:, 2:], 0, image_size - corner)], axis=1)


def trackingnet_measures(
    pred: np.ndarray, gt: np.ndarray, visible: np.ndarray | None = None, image_size: tuple[int, int] | None = None
) -> Measured:
    """Success, precision and normalised precision as TrackingNet's development kit has them (metrics.py).

    Boxes are rounded to whole pixels. Each number is the area under a curve of 21 thresholds: overlaps from 0 to 1,
    centre errors from 0 to 50 pixels, and from 0 to 0.5 of the target's width and height. Every frame counts.

    Args:
        pred: (M, 4); missing boxes are failures.
        gt: (N, 4).
        visible: not used.
        image_size: not used.
    """
    count = len(gt)
    pred = np.concatenate([pred[:count], np.full((max(count - len(pred), 0), 4), np.nan)])
    pred, gt = np.round(pred), np.round(gt)
    pred[0] = gt[0]
    present = np.isfinite(pred).all(axis=1)
    iou = np.where(present, overlap(np.nan_to_num(pred), gt), np.nan)
    offset = (pred[:, :2] + pred[:, 2:] / 2) - (gt[:, :2] + gt[:, 2:] / 2)
    scaled = np.divide(offset, gt[:, 2:], out=np.full_like(offset, np.inf), where=gt[:, 2:] > 0)
    curves = {
        "tn_success": iou[:, None] > np.linspace(0, 1, 21),
        "tn_precision": np.hypot(*offset.T)[:, None] <= np.linspace(0, 50, 21),
        "tn_norm_precision": np.hypot(*scaled.T)[:, None] <= np.linspace(0, 0.5, 21),
    }
    return Measured(
        {key: float(np.trapezoid(hits.mean(axis=0), x=OVERLAP_THRESHOLDS)) for key, hits in curves.items()}, 1.0
    )


OFFICIAL = {
    "got10k": Official(
        {"ao": "AO", "sr50": "SR50", "sr75": "SR75"},
        "AO, SR50 and SR75 are GOT-10k's: the mean overlap, and the share of overlaps above 0.50 and 0.75, over all "
        "frames but the first ones and those without a visible target.",
        got10k_measures,
    ),
    "trackingnet": Official(
        {"tn_success": "Success", "tn_precision": "Prec", "tn_norm_precision": "NPrec"},
        "Success, Prec and NPrec are TrackingNet's: areas under the curves of boxes rounded to whole pixels, up to 50 "
        "pixels and to 0.5 of the target's size.",
        trackingnet_measures,
    ),
}
"""By the `scoring` of a sequence."""


def pooled(scores: Sequence[SequenceScore]) -> dict[str, float]:
    """The weighted mean of the benchmark's own measures over sequences; empty if they do not all have the same."""
    if not scores or any(score.official.keys() != scores[0].official.keys() for score in scores):
        return {}
    total = sum(score.weight for score in scores)
    if not total:
        return {}
    return {key: sum(score.weight * score.official[key] for score in scores) / total for key in scores[0].official}
